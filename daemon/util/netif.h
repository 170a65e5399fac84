/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the daemon asks the kernel about an interface, by netlink and ioctl:
 * sysfs would show another network namespace.
 */
#ifndef SLUICE_NETIF_H
#define SLUICE_NETIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ip_addr.h"

/* RX queues in use, at least 1. */
uint32_t netif_rx_queues(const char *name);

/* 0 or -errno. */
int netif_mac(const char *name, uint8_t ret[6]);

/* Packets that the kernel dropped at the interface, since it exists: received
 * ones, and ones to be sent, which includes what XDP sent into a full ring.
 * 0 or -errno. */
int netif_drops(uint32_t ifindex, uint64_t *ret_rx, uint64_t *ret_tx);

/* First address of the family with global scope, in the kernel's order, that
 * is none of the N addresses EXCEPT. 0 or -ENOENT. */
int netif_address(const char *name, bool v4, const union ip_addr *except,
		  size_t n, union ip_addr *ret);

#endif
