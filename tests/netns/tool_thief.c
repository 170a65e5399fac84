// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thief on the back plane: records messages between nodes on their way to
 * one of them, and sends them again, as they were or changed.
 *
 *	tool_thief record DEV FILE SECONDS [COUNT]	frames sent out of DEV
 *	tool_thief replay DEV FILE HOW PID [TIMES]	out of DEV again, no faster
 *							than process PID reads
 *
 * HOW: as-is, truncate (a byte less each time), flip (another bit each time),
 * extend (a byte more), junk (header kept, rest random), from (another sender
 * id), version, type, key (unknown ones). Prints how many frames went out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7946
#define HEADERS (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr))
#define FRAME_MAX 2048

static void die(const char *what)
{
	fprintf(stderr, "tool_thief: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_device(const char *dev)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	if (fd < 0)
		die("socket");
	ll.sll_ifindex = (int)if_nametoindex(dev);
	if (ll.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		die(dev);
	return fd;
}

/* IPv4 without options, UDP, to the port of nodes. */
static int is_message(const uint8_t *frame, size_t len)
{
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;

	if (len < HEADERS)
		return 0;
	memcpy(&eth, frame, sizeof(eth));
	memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
	memcpy(&udp, frame + ETH_HLEN + sizeof(ip), sizeof(udp));
	return eth.h_proto == htons(ETH_P_IP) && ip.ihl == 5 && ip.protocol == IPPROTO_UDP &&
	       udp.dest == htons(PORT);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int record(const char *dev, const char *file, double seconds, unsigned int count)
{
	int fd = open_device(dev);
	uint64_t end = now_ms() + (uint64_t)(seconds * 1000);
	FILE *out = fopen(file, "w");
	unsigned int n = 0;

	if (!out)
		die(file);
	while (n < count && now_ms() < end) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct sockaddr_ll from;
		socklen_t from_len = sizeof(from);
		uint8_t frame[FRAME_MAX];
		ssize_t len;
		uint16_t prefix;

		if (poll(&p, 1, 50) <= 0)
			continue;
		len = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &from_len);
		if (len < 0 || from.sll_pkttype != PACKET_OUTGOING ||
		    !is_message(frame, (size_t)len))
			continue;
		prefix = (uint16_t)len;
		if (fwrite(&prefix, 2, 1, out) != 1 || fwrite(frame, (size_t)len, 1, out) != 1)
			die(file);
		n++;
	}
	if (fclose(out) != 0)
		die(file);
	printf("%u\n", n);
	return n > 0 ? 0 : 1;
}

/* Changes what UDP carries; returns its new length. */
static size_t change(uint8_t *text, size_t len, const char *how, unsigned int turn)
{
	if (strcmp(how, "truncate") == 0)
		return len - 1 - turn % len;
	if (strcmp(how, "extend") == 0)
		text[len++] = (uint8_t)turn;
	else if (strcmp(how, "flip") == 0)
		text[turn / 8 % len] ^= (uint8_t)(1 << turn % 8);
	else if (strcmp(how, "junk") == 0)
		for (size_t i = 24; i < len; i++)
			text[i] = (uint8_t)random();
	else if (strcmp(how, "from") == 0)
		text[5] = (uint8_t)(turn % 34);
	else if (strcmp(how, "version") == 0)
		text[2] = (uint8_t)(2 + turn % 250);
	else if (strcmp(how, "type") == 0)
		text[3] = (uint8_t)(4 + turn % 250);
	else if (strcmp(how, "key") == 0)
		text[4] = (uint8_t)(200 + turn % 50);
	return len;
}

static uint16_t ip_sum(const struct iphdr *ip)
{
	uint16_t words[10];
	uint32_t sum = 0;

	memcpy(words, ip, sizeof(words));
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

static int send_changed(int fd, uint8_t *frame, size_t len, const char *how, unsigned int turn)
{
	uint8_t *text = frame + HEADERS;
	struct iphdr ip;
	struct udphdr udp;
	size_t n;

	/* What the UDP header says; the frame may be padded. */
	memcpy(&udp, frame + ETH_HLEN + sizeof(ip), sizeof(udp));
	n = ntohs(udp.len) - sizeof(udp);
	if (n == 0 || HEADERS + n > len)
		return 0;
	n = change(text, n, how, turn);
	memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
	ip.tot_len = htons((uint16_t)(sizeof(ip) + sizeof(udp) + n));
	ip.check = 0;
	ip.check = ip_sum(&ip);
	udp.len = htons((uint16_t)(sizeof(udp) + n));
	udp.check = 0; /* none: recorded ones were not complete yet */
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(frame + ETH_HLEN + sizeof(ip), &udp, sizeof(udp));
	return send(fd, frame, HEADERS + n, 0) > 0;
}

/* Bytes that wait for the nodes' port in the network namespace of a process. */
static unsigned long queued(const char *pid)
{
	char path[64], line[256];
	unsigned long sum = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%s/net/udp", pid);
	in = fopen(path, "r");
	if (!in)
		die(path);
	while (fgets(line, sizeof(line), in)) {
		unsigned int port;
		unsigned long rx;

		if (sscanf(line, "%*d: %*x:%x %*x:%*x %*x %*x:%lx", &port, &rx) == 2 &&
		    port == PORT)
			sum += rx;
	}
	fclose(in);
	return sum;
}

static void wait_read(const char *pid)
{
	uint64_t end = now_ms() + 10000;

	while (queued(pid)) {
		if (now_ms() > end) {
			errno = ETIMEDOUT;
			die("the receiver does not read");
		}
		sched_yield();
	}
}

static int replay(const char *dev, const char *file, const char *how, const char *pid,
		  unsigned int times)
{
	int fd = open_device(dev);
	unsigned int sent = 0, turn = 0;

	for (unsigned int t = 0; t < times; t++) {
		FILE *in = fopen(file, "r");
		uint8_t frame[FRAME_MAX + 1];
		uint16_t len;

		if (!in)
			die(file);
		while (fread(&len, 2, 1, in) == 1 && len <= FRAME_MAX &&
		       fread(frame, len, 1, in) == 1) {
			sent += (unsigned int)send_changed(fd, frame, len, how, turn++);
			/* Fewer than its queue and the veth's ring hold. */
			if (sent % 64 == 0)
				wait_read(pid);
		}
		fclose(in);
	}
	printf("%u\n", sent);
	return sent > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "record") == 0)
		return record(argv[2], argv[3], atof(argv[4]),
			      argc > 5 ? (unsigned int)atoi(argv[5]) : 100000);
	if (argc >= 6 && strcmp(argv[1], "replay") == 0)
		return replay(argv[2], argv[3], argv[4], argv[5],
			      argc > 6 ? (unsigned int)atoi(argv[6]) : 1);
	fprintf(stderr, "tool_thief record DEV FILE SECONDS [COUNT] | replay DEV FILE HOW PID [TIMES]\n");
	return 2;
}
