/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Answers of the engine itself, built in the frame of the packet that they
 * answer: TCP resets, ICMP errors. Each takes the packet over.
 */
#ifndef SLUICE_ENGINE_REPLY_H
#define SLUICE_ENGINE_REPLY_H

#include "engine/engine.h"

/* "There is no such connection": RST for TCP (RFC 9293, 3.10.7.1), port
 * unreachable for others; nothing for resets, errors and later fragments. */
void reply_refuse(struct engine *engine, struct engine_packet *packet,
		  enum engine_drop why);

void reply_ttl(struct engine *engine, struct engine_packet *packet);

/* MTU: the largest packet that would have fit. */
void reply_too_big(struct engine *engine, struct engine_packet *packet,
		   uint32_t mtu);

#endif
