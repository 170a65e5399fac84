/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Named counters of the XDP program, map "counters" (per CPU, key: enum
 * counter). One list gives enum, name and help text. Append only: the numbers
 * are ABI. First come the verdicts: a packet is counted under exactly one of
 * them, at the program's one exit.
 */
#ifndef SLUICE_COUNTERS_H
#define SLUICE_COUNTERS_H

/* X(enum suffix, name, help) */
#define COUNTER_VERDICTS(X)                                                    \
	X(PASS_OTHER, "pass_other", "not for a vserver: left to the kernel")  \
	X(PASS_ARP, "pass_not_ip", "ARP, LLDP and other non-IP frames")        \
	X(PASS_ND, "pass_nd", "neighbour discovery")                           \
	X(PASS_VIP, "pass_vip_other", "to a VIP, but no vserver's port")       \
	X(PASS_NO_NEIGH, "pass_no_neigh", "reply, neighbour unresolved, no engine") \
	X(FWD_TX, "fwd_tx", "established flow, sent back by its interface")    \
	X(FWD_REDIRECT, "fwd_redirect", "established flow, other interface")   \
	X(FWD_NEW, "fwd_new", "flow set up by XDP and forwarded")              \
	X(STEER_NODE, "steer_node", "bucket of another node: sent there")      \
	X(STEER_ENGINE, "steer_engine", "handed to an engine: new flow")       \
	X(STEER_INSPECT, "steer_inspect", "handed to an engine: inspected")    \
	X(STEER_SLOW, "steer_slow", "handed to an engine: other reasons")      \
	X(ICMP_ECHO, "icmp_echo_reply", "echo request to a VIP answered")      \
	X(ICMP_TOOBIG, "icmp_too_big", "answered: fragmentation needed")       \
	X(ICMP_TTL, "icmp_ttl", "answered: time exceeded")                     \
	X(FWD_ICMP, "fwd_icmp_error", "ICMP error sent after its flow")        \
	X(DROP_SHORT, "drop_short", "a header was cut off")                    \
	X(DROP_HEADER, "drop_bad_header", "a header contradicts itself")       \
	X(DROP_FRAGMENT, "drop_fragment", "fragment without its first one")    \
	X(DROP_TTL, "drop_ttl", "TTL or hop limit used up, no answer due")     \
	X(DROP_ICMP, "drop_icmp", "ICMP error that quotes no known flow")      \
	X(DROP_NO_SERVICE, "drop_no_service", "no service takes new flows")    \
	X(DROP_NO_ENGINE, "drop_no_engine", "no engine alive for this queue")  \
	X(DROP_NO_ROUTE, "drop_no_route", "no route to the next hop")          \
	X(DROP_NO_NEIGH, "drop_no_neigh", "neighbour unresolved, no engine")   \
	X(DROP_TOO_BIG, "drop_too_big", "larger than the path, no answer due") \
	X(DROP_HEADROOM, "drop_headroom", "no room for a header or metadata")  \
	X(DROP_MAP, "drop_map", "a table did not have an entry it must have")  \
	X(DROP_NAT_PORT, "drop_nat_port", "no free NAT port for the service")  \
	X(DROP_REVERSE, "drop_nat_unknown", "to a NAT address, no flow")       \
	X(DROP_DOWN, "drop_down_flush", "flow of a DOWN service, being reset") \
	X(DROP_STEERED, "drop_steered", "steered to us, bucket not ours")      \
	X(DROP_ACL, "drop_acl", "source prefix denied")                        \
	X(DROP_RATE, "drop_rate", "source over its rate limit")

/* Events beside the verdict. */
#define COUNTER_EVENTS(X)                                                      \
	X(FLOW_HIT, "flow_hit", "flow table hits")                             \
	X(FLOW_MISS, "flow_miss", "flow table misses")                         \
	X(FLOW_RETRY, "flow_read_race", "entry changed while it was read")     \
	X(FLOW_INSERT, "flow_insert", "entries written by XDP")                \
	X(FLOW_LOCKED, "flow_set_locked", "set locked by another writer")      \
	X(FLOW_STOLEN, "flow_lock_stolen", "stale lock of a set taken over")   \
	X(FLOW_EVICT_IDLE, "flow_evict_idle", "evicted: had timed out")        \
	X(FLOW_EVICT_NEW, "flow_evict_half", "evicted: not established")       \
	X(FLOW_EVICT_LIVE, "flow_evict_live", "evicted: established, set full") \
	X(FLOW_OVERFLOW, "flow_overflow", "home set full, alternate used")     \
	X(ENGINE_DEAD, "engine_hole", "engine had no socket: next one taken")  \
	X(ENGINE_SILENT, "engine_silent", "engine's heartbeat old: next one")  \
	X(NH_MISS, "nexthop_lookup", "next hop not in the per-CPU cache")      \
	X(DECAP, "tunnel_inner", "tunnelled packets hashed by inner header")   \
	X(FLOW_EVICT_CLOSED, "flow_evict_closed", "evicted: FIN or RST seen")  \
	X(ICMP_LIMIT, "icmp_limited", "ICMP answers held back: rate bound")    \
	X(SETUP_ALONE, "setup_alone", "set up by XDP: no engine had a socket")

enum counter {
#define COUNTER_X(id, name, help) CNT_##id,
	COUNTER_VERDICTS(COUNTER_X) COUNTER_EVENTS(COUNTER_X)
#undef COUNTER_X
		CNT_MAX
};

#endif
