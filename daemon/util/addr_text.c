/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses and ports as text. Strict on purpose: inet_pton(3) refuses the
 * old abbreviated and octal forms, and so do we for ports (digits only).
 */
#include "util/addr_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int addr_text_parse(const char *text, union ip_addr *ret)
{
	union ip_addr addr;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		ip_addr_set_v4(ret, v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, addr.b) != 1 || ip_addr_is_v4(&addr))
		return -EINVAL;
	*ret = addr;
	return 0;
}

static int port_parse(const char *text, uint16_t *ret)
{
	uint32_t port = 0;
	size_t n = strlen(text);

	if (n == 0 || n > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		port = port * 10 + (uint32_t)(*text - '0');
	}
	if (port > 65535)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int addr_text_parse_port(const char *text, union ip_addr *ret_addr,
			 uint16_t *ret_port)
{
	char host[ADDR_TEXT_LEN];
	union ip_addr addr;
	uint16_t port;
	const char *colon = strrchr(text, ':');
	bool bracket = text[0] == '[';
	size_t n;

	if (!colon)
		return -EINVAL;
	n = (size_t)(colon - text);
	if (bracket) {
		if (n < 2 || text[n - 1] != ']')
			return -EINVAL;
		text++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	if (addr_text_parse(host, &addr) || port_parse(colon + 1, &port))
		return -EINVAL;
	/* "::1:80" would be read as an address and a port by luck only. */
	if (bracket == (bool)ip_addr_is_v4(&addr))
		return -EINVAL;
	*ret_addr = addr;
	*ret_port = port;
	return 0;
}

char *addr_text_format(const union ip_addr *addr, char buf[ADDR_TEXT_LEN])
{
	if (ip_addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->w[3], buf, ADDR_TEXT_LEN);
	else
		inet_ntop(AF_INET6, addr->b, buf, ADDR_TEXT_LEN);
	return buf;
}

char *addr_text_format_port(const union ip_addr *addr, uint16_t port,
			    char buf[ADDR_TEXT_LEN])
{
	char host[ADDR_TEXT_LEN];

	addr_text_format(addr, host);
	/* The precision is for the compiler: 45 is the longest IPv6 text. */
	snprintf(buf, ADDR_TEXT_LEN, ip_addr_is_v4(addr) ? "%.45s:%u" : "[%.45s]:%u",
		 host, port);
	return buf;
}
