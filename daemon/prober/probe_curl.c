/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * https, https-ecv, ftp: libcurl speaks TLS and FTP. Certificates are verified
 * unless `verify` is off, against SNI if given, else the HTTP host, else the
 * address; trust comes from the system's store ($SSL_CERT_FILE overrides it).
 * A TLS session is never resumed: a certificate that has expired since must be
 * seen. ftp: log in; with `ftp_path`, the first bytes of that file as well.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "prober/curl_loop.h"
#include "prober/probe.h"
#include "prober/prober.h"
#include "prober/probe_curl.h"
#include "util/addr_text.h"

struct transfer {
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	size_t header_len;
	bool header_big, found, full;
	unsigned int refusal; /* FTP */
	char error[CURL_ERROR_SIZE];
};

static bool is_ftp(const struct probe *probe)
{
	return probe->monitor->config.type == MONITOR_FTP;
}

/* A line from the server; the last one of a reply has a space for a dash. */
static void ftp_reply(struct probe *probe, const char *line, size_t len)
{
	struct transfer *t = probe->private;
	unsigned int code = 0;

	if (len < 4 || line[3] != ' ')
		return;
	for (int i = 0; i < 3; i++) {
		if (line[i] < '0' || line[i] > '9')
			return;
		code = code * 10 + (line[i] - '0');
	}
	probe_step(probe, "reply %u", code);
	/* What was refused; the last answer is the one to QUIT. */
	if (code >= 400)
		t->refusal = code;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct probe *probe = ctx;
	struct transfer *t = probe->private;

	t->header_len += size * n;
	if (is_ftp(probe)) {
		ftp_reply(probe, data, size * n);
	} else if (t->header_len > HTTP_REPLY_HEADER_MAX) {
		t->header_big = true;
		return 0;
	}
	return size * n;
}

/* Returning less than was given ends the transfer: enough is known. */
static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct probe *probe = ctx;
	struct transfer *t = probe->private;

	if (probe->monitor->config.type != MONITOR_HTTPS_ECV) {
		t->found = true;
		return 0;
	}
	t->full = !probe_keep(probe, data, size * n);
	t->found = probe_matches(probe, t->full);
	return t->found || t->full ? 0 : size * n;
}

static void trace_times(struct probe *probe)
{
	struct transfer *t = probe->private;
	curl_off_t connect = 0, tls = 0, first = 0;
	long status = 0;

	/* Of FTP the replies are steps; libcurl adds up both connections. */
	if (!probe->traced || is_ftp(probe))
		return;
	curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connect);
	curl_easy_getinfo(t->easy, CURLINFO_APPCONNECT_TIME_T, &tls);
	curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (connect)
		probe_step_at(probe, connect, "connected");
	if (tls)
		probe_step_at(probe, tls, "TLS established");
	if (first)
		probe_step_at(probe, first, "first bytes of the reply");
	if (status)
		probe_step(probe, "status %ld", status);
}

/* The connection worked; was the answer right? */
static void judge(struct probe *probe, bool complete)
{
	struct transfer *t = probe->private;
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (is_ftp(probe))
		return probe_finish(probe, REASON_OK, 0);
	if (!monitor_accepts(probe->monitor, status))
		return probe_finish(probe, REASON_STATUS, status);
	if (probe->monitor->config.type == MONITOR_HTTPS || t->found ||
	    (complete && probe_matches(probe, true)))
		return probe_finish(probe, REASON_OK, 0);
	probe_finish(probe, complete ? REASON_CONTENT : REASON_BODY_SIZE,
		     probe->reply_len);
}

static void finish_curl(struct probe *probe, enum reason code, CURLcode result)
{
	struct transfer *t = probe->private;
	char text[CURL_ERROR_SIZE];
	long error = 0;

	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
	if (code == REASON_REFUSED && error)
		return probe_finish_errno(probe, error);
	/* The text lives in what finishing frees. */
	snprintf(text, sizeof(text), "%s",
		 t->error[0] ? t->error : curl_easy_strerror(result));
	probe_finish_text(probe, code, result, text, strlen(text));
}

static void on_done(CURL *easy, CURLcode result)
{
	struct probe *probe;
	struct transfer *t;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&probe);
	t = probe->private;
	trace_times(probe);
	switch (result) {
	case CURLE_OK:
		return judge(probe, true);
	case CURLE_WRITE_ERROR:
		if (t->header_big)
			return probe_finish(probe, REASON_HEADER_SIZE, 0);
		return judge(probe, false);
	case CURLE_COULDNT_CONNECT:
		return finish_curl(probe, REASON_REFUSED, result);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return finish_curl(probe, REASON_CERTIFICATE, result);
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
		return finish_curl(probe, REASON_TLS, result);
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return probe_finish(probe, REASON_CLOSED, 0);
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return probe_finish(probe, REASON_RESET, 0);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
		return probe_finish(probe, REASON_MALFORMED, 0);
	case CURLE_LOGIN_DENIED:
	case CURLE_REMOTE_ACCESS_DENIED:
	case CURLE_REMOTE_FILE_NOT_FOUND:
	case CURLE_FTP_COULDNT_RETR_FILE:
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		return probe_finish(probe, REASON_FTP,
				    t->refusal ? t->refusal : status);
	default:
		/* E.g. 421, "too many users", which libcurl calls a time-out. */
		if (is_ftp(probe) && t->refusal)
			return probe_finish(probe, REASON_FTP, t->refusal);
		return finish_curl(probe, REASON_PROTOCOL, result);
	}
}

int probe_curl_init(uv_loop_t *loop)
{
	return curl_loop_init(loop, on_done);
}

static void set_url(struct probe *probe, struct transfer *t)
{
	const struct config_monitor *c = &probe->monitor->config;
	char url[2048], text[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN + 4];
	char host[ADDR_TEXT_LEN];

	addr_text_format_port(&probe->addr, probe->port, text);
	/* The address as a URL has it: without ":port". */
	snprintf(host, sizeof(host), "%.*s", (int)(strrchr(text, ':') - text),
		 text);
	if (is_ftp(probe)) {
		const char *path = c->ftp_path ? c->ftp_path : "";

		snprintf(url, sizeof(url), "ftp://%s/%s", text,
			 path + (*path == '/'));
		curl_easy_setopt(t->easy, CURLOPT_URL, url);
		return;
	}
	snprintf(url, sizeof(url), "https://%s:%u/",
		 c->sni	      ? c->sni :
		 c->http_host ? c->http_host :
				host,
		 probe->port);
	curl_easy_setopt(t->easy, CURLOPT_URL, url);
	curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET,
			 c->http_path ? c->http_path : "/");
	snprintf(to, sizeof(to), "::%s", text);
	t->connect_to = curl_slist_append(NULL, to);
	curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
	if (c->http_host) {
		char header[NAME_LEN + 512];

		snprintf(header, sizeof(header), "Host: %s", c->http_host);
		t->headers = curl_slist_append(NULL, header);
		curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	}
}

/* A socket that is to be connected. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	(void)purpose;
	return probe_enter_tunnel(ctx, fd, SOCK_STREAM) ? CURL_SOCKOPT_ERROR :
							  CURL_SOCKOPT_OK;
}

static void set_options(struct probe *probe, struct transfer *t)
{
	const struct config_monitor *c = &probe->monitor->config;
	const char *ca = getenv("SSL_CERT_FILE");
	CURL *easy = t->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, probe);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, probe);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
			 is_ftp(probe) ? "ftp" : "https");
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, (long)c->verify);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, c->verify ? 2L : 0L);
	/* One bundle, no directory: then libcurl keeps the parsed store in the
	 * multi handle. Parsing it costs more than all of the probe. */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (!c->verify)
		curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	else if (ca && *ca)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 16384L);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
	if (is_ftp(probe)) {
		curl_easy_setopt(easy, CURLOPT_USERNAME,
				 c->ftp_user ? c->ftp_user : "anonymous");
		curl_easy_setopt(easy, CURLOPT_PASSWORD,
				 c->ftp_password ? c->ftp_password :
						   "sluice@localhost");
		/* Hostile servers must not send us elsewhere. */
		curl_easy_setopt(easy, CURLOPT_FTP_SKIP_PASV_IP, 1L);
		curl_easy_setopt(easy, CURLOPT_NOBODY, !c->ftp_path);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice-prober");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
			 (long)CURL_HTTP_VERSION_1_1);
	if (c->http_method && !strcmp(c->http_method, "HEAD"))
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (c->http_method)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->http_method);
}

static void start(struct probe *probe)
{
	struct transfer *t;

	if (probe->monitor->nfa_error)
		return probe_finish_text(probe, REASON_REGEX, 0,
					 probe->monitor->nfa_error,
					 strlen(probe->monitor->nfa_error));
	t = calloc(1, sizeof(*t));
	if (!t)
		return probe_finish_errno(probe, ENOMEM);
	probe->private = t;
	t->easy = curl_easy_init();
	if (!t->easy)
		return probe_finish_errno(probe, ENOMEM);
	set_options(probe, t);
	set_url(probe, t);
	if (curl_loop_add(t->easy))
		probe_finish_errno(probe, ENOMEM);
}

static void stop(struct probe *probe)
{
	struct transfer *t = probe->private;

	if (!t)
		return;
	if (t->easy) {
		curl_loop_remove(t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	free(t);
	probe->private = NULL;
}

static void timeout(struct probe *probe)
{
	struct transfer *t = probe->private;
	curl_off_t connect = 0;

	trace_times(probe);
	if (t)
		curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connect);
	if (probe->reply_len && probe_matches(probe, true))
		return probe_finish(probe, REASON_OK, 0);
	probe_finish(probe, connect ? REASON_TIMEOUT : REASON_TIMEOUT_CONNECT,
		     probe->timeout_ms);
}

const struct probe_kind probe_https = { "https", start, stop, timeout };
const struct probe_kind probe_https_ecv = { "https-ecv", start, stop, timeout };
const struct probe_kind probe_ftp = { "ftp", start, stop, timeout };
