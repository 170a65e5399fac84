/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses and ports as text: "192.0.2.1", "2001:db8::1", "192.0.2.1:80",
 * "[2001:db8::1]:80". No names, no zones, no abbreviations such as "10.1".
 */
#ifndef SLUICE_ADDR_TEXT_H
#define SLUICE_ADDR_TEXT_H

#include <stdint.h>
#include "ip_addr.h"

/* Room for the longest "[v6]:port" and its NUL (45 + 2 + 6 + 1). */
#define ADDR_TEXT_LEN 56

/* 0 or -EINVAL. An IPv4-mapped IPv6 address is refused: it would mean the
 * same as the IPv4 address and have two spellings. */
int addr_text_parse(const char *text, union ip_addr *ret);

/* ADDR:PORT with PORT 0..65535, host order. 0 or -EINVAL. */
int addr_text_parse_port(const char *text, union ip_addr *ret_addr,
			 uint16_t *ret_port);

/* These write into BUF and return it. */
char *addr_text_format(const union ip_addr *addr, char buf[ADDR_TEXT_LEN]);
char *addr_text_format_port(const union ip_addr *addr, uint16_t port,
			    char buf[ADDR_TEXT_LEN]);

#endif
