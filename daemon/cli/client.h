/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests to the daemon: HTTP over its Unix socket, by libcurl.
 */
#ifndef SLUICE_CLI_CLIENT_H
#define SLUICE_CLI_CLIENT_H

#include "cli/cli.h"

/* A path under construction, e.g. "/v1/flows?src=…", with escaping. */
struct client_path {
	char text[2048];
	size_t len;
	bool query; /* there is a '?' already */
	bool overflow;
};

void client_path_init(struct client_path *path, const char *prefix);
/* "/" and the escaped NAME. */
void client_path_add(struct client_path *path, const char *name);
/* "?KEY=" or "&KEY=" and the escaped VALUE. */
void client_path_query(struct client_path *path, const char *key,
		       const char *value);

/* 0 with the answer's JSON (to be put), or CLI_REFUSED after having said why.
 * BODY may be NULL; it stays the caller's. */
int client_ask(const struct cli *cli, const char *method,
	       const struct client_path *path, struct json_object *body,
	       struct json_object **ret);

/* The same with text as body, sent as text/plain. */
int client_send_text(const struct cli *cli, const char *method,
		     const struct client_path *path, const char *text,
		     size_t len, struct json_object **ret);

/* -ECONNREFUSED or such if no daemon is there (said by nobody), else as
 * client_ask(). */
int client_try(const struct cli *cli, const char *method,
	       const struct client_path *path, struct json_object **ret);

/* Calls LINE for each object of a stream, until it ends. CLI_DONE or
 * CLI_REFUSED. TEXT is the line as it came. */
int client_stream(const struct cli *cli, const struct client_path *path,
		  void (*line)(const struct cli *cli, const char *text,
			       struct json_object *event));

#endif
