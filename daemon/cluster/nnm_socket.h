/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The UDP socket of node-to-node messages: non-blocking, one address family,
 * bound to this node's back plane address, so that what it sends comes from
 * the address its peers expect. Reads in batches.
 */
#ifndef SLUICE_NNM_SOCKET_H
#define SLUICE_NNM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "cluster/nnm_header.h"
#include "ip_addr.h"

/* Datagrams read by one system call. */
#define NNM_BATCH 32

struct nnm_address {
	struct sockaddr_storage sa;
	socklen_t len;
};

struct nnm_datagram {
	/* One byte more than allowed, so that longer ones are seen as such. */
	uint8_t data[NNM_DATAGRAM_MAX + 1];
	size_t len;
	struct nnm_address from;
};

void nnm_socket_address(const union ip_addr *addr, uint16_t port,
			struct nnm_address *ret);
bool nnm_socket_same(const struct nnm_address *a, const struct nnm_address *b);

/* A bound socket, or -errno. */
int nnm_socket_open(const union ip_addr *addr, uint16_t port);

/* Number of datagrams read into BATCH, 0 if none is there, -errno. */
int nnm_socket_receive(int fd, struct nnm_datagram batch[NNM_BATCH]);

/* 0 or -errno; what cannot be sent now is gone. */
int nnm_socket_send(int fd, const struct nnm_address *to, const uint8_t *data, size_t len);

/* Datagrams the kernel dropped because the receive buffer was full; 0 if it
 * does not say. */
uint32_t nnm_socket_overflows(int fd);

#endif
