/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thompson automata, see nfa.h. The parser is recursive over groups only
 * (bounded by NFA_DEPTH_MAX) and emits instructions; repetition copies the
 * instructions of what it repeats, which is what the state limit bounds.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "health/nfa.h"

#define NFA_DEPTH_MAX 64
#define NFA_REPEAT_MAX 1000

enum op {
	OP_SET,	  /* one byte of a set */
	OP_SPLIT, /* both x and y */
	OP_JUMP,
	OP_BEGIN,
	OP_END,
	OP_MATCH,
};

/* Targets are relative, so that a copied fragment needs no fixing up. */
struct inst {
	uint8_t op;
	int16_t x, y;
	uint16_t set;
};

struct byte_set {
	uint64_t w[4];
};

struct nfa {
	unsigned int n_insts, n_sets;
	struct inst inst[NFA_STATES_MAX];
	struct byte_set set[NFA_STATES_MAX];
};

struct parser {
	struct nfa *nfa;
	const unsigned char *p, *end;
	const char *error;
	int ret;
	unsigned int depth;
	bool fold;
};

static void set_add(struct byte_set *set, unsigned int c)
{
	set->w[c >> 6] |= 1ull << (c & 63);
}

static bool set_has(const struct byte_set *set, unsigned int c)
{
	return set->w[c >> 6] >> (c & 63) & 1;
}

static void set_invert(struct byte_set *set)
{
	for (int i = 0; i < 4; i++)
		set->w[i] = ~set->w[i];
}

static void set_fold(struct byte_set *set)
{
	for (unsigned int c = 'a'; c <= 'z'; c++)
		if (set_has(set, c) || set_has(set, c - 32)) {
			set_add(set, c);
			set_add(set, c - 32);
		}
}

static void fail(struct parser *ps, int ret, const char *error)
{
	if (!ps->ret) {
		ps->ret = ret;
		ps->error = error;
	}
	ps->p = ps->end;
}

/* Makes room for N instructions at AT; returns whether there was any. */
static bool open_gap(struct parser *ps, unsigned int at, unsigned int n)
{
	struct nfa *nfa = ps->nfa;

	if (nfa->n_insts + n > NFA_STATES_MAX - 2) {
		fail(ps, -E2BIG, "expression is too large");
		return false;
	}
	memmove(&nfa->inst[at + n], &nfa->inst[at],
		(nfa->n_insts - at) * sizeof(nfa->inst[0]));
	nfa->n_insts += n;
	return true;
}

static void emit(struct parser *ps, enum op op, int x, int y)
{
	unsigned int at = ps->nfa->n_insts;

	if (open_gap(ps, at, 1))
		ps->nfa->inst[at] = (struct inst){ op, x, y, 0 };
}

static void emit_set(struct parser *ps, struct byte_set *set)
{
	unsigned int at = ps->nfa->n_insts, n;

	if (ps->fold)
		set_fold(set);
	if (!open_gap(ps, at, 1))
		return;
	for (n = 0; n < ps->nfa->n_sets; n++)
		if (!memcmp(&ps->nfa->set[n], set, sizeof(*set)))
			break;
	if (n == ps->nfa->n_sets)
		ps->nfa->set[ps->nfa->n_sets++] = *set;
	ps->nfa->inst[at] = (struct inst){ OP_SET, 0, 0, n };
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool class_has(int class, unsigned int c)
{
	bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
	bool digit = c >= '0' && c <= '9';

	switch (class) {
	case 'd':
		return digit;
	case 'w':
		return lower || upper || digit || c == '_';
	case 's':
		return c == ' ' || (c >= '\t' && c <= '\r');
	case 'a':
		return lower || upper;
	case 'n':
		return lower || upper || digit;
	case 'l':
		return lower;
	case 'u':
		return upper;
	case 'x':
		return digit || (c >= 'a' && c <= 'f') ||
		       (c >= 'A' && c <= 'F');
	case 'p':
		return c > 0x20 && c < 0x7f && !lower && !upper && !digit;
	default:
		return false;
	}
}

static void set_class(struct byte_set *set, int class, bool not)
{
	for (unsigned int c = 0; c < 256; c++)
		if (class_has(class, c) != not)
			set_add(set, c);
}

/* After the backslash. A class goes to SET and gives -1, else the byte. */
static int parse_escape(struct parser *ps, struct byte_set *set)
{
	int c, hi, lo;

	if (ps->p == ps->end) {
		fail(ps, -EINVAL, "backslash at the end");
		return 0;
	}
	c = *ps->p++;
	switch (c) {
	case 'd':
	case 'w':
	case 's':
		set_class(set, c, false);
		return -1;
	case 'D':
	case 'W':
	case 'S':
		set_class(set, c | 32, true);
		return -1;
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'x':
		hi = ps->end - ps->p >= 2 ? hex_digit(ps->p[0]) : -1;
		lo = hi >= 0 ? hex_digit(ps->p[1]) : -1;
		if (lo < 0) {
			fail(ps, -EINVAL, "\\x needs two hexadecimal digits");
			return 0;
		}
		ps->p += 2;
		return hi << 4 | lo;
	default:
		/* Letters and digits mean something elsewhere (\b, \1). */
		if (class_has('n', c))
			fail(ps, -EINVAL, "this escape is not supported");
		return c;
	}
}

/* At "[:name:]" inside brackets; false if there is none. */
static bool parse_named_class(struct parser *ps, struct byte_set *set)
{
	static const struct {
		const char *name;
		char class;
	} names[] = {
		{ "[:alpha:]", 'a' }, { "[:digit:]", 'd' },
		{ "[:alnum:]", 'n' }, { "[:space:]", 's' },
		{ "[:lower:]", 'l' }, { "[:upper:]", 'u' },
		{ "[:xdigit:]", 'x' }, { "[:punct:]", 'p' },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i].name);

		if ((size_t)(ps->end - ps->p) >= len &&
		    !memcmp(ps->p, names[i].name, len)) {
			set_class(set, names[i].class, false);
			ps->p += len;
			return true;
		}
	}
	return false;
}

/* One byte inside brackets; -1 if it was a class. */
static int parse_bracket_byte(struct parser *ps, struct byte_set *set)
{
	int c = *ps->p++;

	return c == '\\' ? parse_escape(ps, set) : c;
}

/* After the opening bracket. */
static void parse_bracket(struct parser *ps)
{
	struct byte_set set = { 0 };
	bool not = ps->p < ps->end && *ps->p == '^';
	bool first = true;

	ps->p += not;
	for (; ps->p < ps->end && (first || *ps->p != ']'); first = false) {
		int lo, hi;

		if (*ps->p == '[' && parse_named_class(ps, &set))
			continue;
		lo = parse_bracket_byte(ps, &set);
		if (lo < 0)
			continue;
		hi = lo;
		if (ps->end - ps->p >= 2 && ps->p[0] == '-' &&
		    ps->p[1] != ']') {
			ps->p++;
			hi = parse_bracket_byte(ps, &set);
		}
		if (hi < lo) {
			fail(ps, -EINVAL, "range is the wrong way round");
			return;
		}
		for (int c = lo; c <= hi; c++)
			set_add(&set, c);
	}
	if (ps->p == ps->end) {
		fail(ps, -EINVAL, "bracket is not closed");
		return;
	}
	ps->p++;
	if (ps->fold)
		set_fold(&set);
	if (not)
		set_invert(&set);
	emit_set(ps, &set);
}

static bool parse_number(struct parser *ps, int *ret)
{
	int n = 0;
	const unsigned char *start = ps->p;

	while (ps->p < ps->end && class_has('d', *ps->p)) {
		n = n * 10 + *ps->p++ - '0';
		if (n > NFA_REPEAT_MAX) {
			fail(ps, -EINVAL, "repetition is too large");
			return false;
		}
	}
	*ret = n;
	return ps->p > start;
}

/* Appends a copy of the N instructions at FROM. */
static void copy(struct parser *ps, const struct inst *from, unsigned int n)
{
	unsigned int at = ps->nfa->n_insts;

	if (open_gap(ps, at, n))
		memcpy(&ps->nfa->inst[at], from, n * sizeof(*from));
}

/* Repeats the fragment from AT to the end MIN to MAX times (MAX < 0: without
 * limit). */
static void repeat(struct parser *ps, unsigned int at, int min, int max)
{
	struct nfa *nfa = ps->nfa;
	unsigned int n = nfa->n_insts - at;
	struct inst *body;

	if (n == 0 || ps->ret)
		return;
	body = malloc(n * sizeof(*body));
	if (!body) {
		fail(ps, -ENOMEM, "out of memory");
		return;
	}
	memcpy(body, &nfa->inst[at], n * sizeof(*body));
	nfa->n_insts = at;
	for (int i = 0; i < min && !ps->ret; i++)
		copy(ps, body, n);
	if (max < 0) {
		emit(ps, OP_SPLIT, 1, n + 2);
		copy(ps, body, n);
		emit(ps, OP_JUMP, -(int)n - 1, 0);
	}
	for (int i = min; i < max && !ps->ret; i++) {
		emit(ps, OP_SPLIT, 1, n + 1);
		copy(ps, body, n);
	}
	free(body);
}

/* Repetition operators after the atom that starts at AT. */
static void parse_repeats(struct parser *ps, unsigned int at)
{
	while (ps->p < ps->end && !ps->ret) {
		int min, max;

		switch (*ps->p) {
		case '*':
			min = 0, max = -1;
			break;
		case '+':
			min = 1, max = -1;
			break;
		case '?':
			min = 0, max = 1;
			break;
		case '{':
			ps->p++;
			if (!parse_number(ps, &min))
				return fail(ps, -EINVAL,
					    "number expected after {");
			max = min;
			if (ps->p < ps->end && *ps->p == ',') {
				ps->p++;
				if (!parse_number(ps, &max))
					max = -1;
			}
			if (ps->p == ps->end || *ps->p != '}' ||
			    (max >= 0 && max < min))
				return fail(ps, -EINVAL, "bad repetition");
			break;
		default:
			return;
		}
		ps->p++;
		/* "a*?" only says which match is preferred: any will do. */
		if (ps->p < ps->end && *ps->p == '?')
			ps->p++;
		repeat(ps, at, min, max);
	}
}

static void parse_alternatives(struct parser *ps);

/* After the opening parenthesis. */
static void parse_group(struct parser *ps)
{
	if (ps->p < ps->end && *ps->p == '?') {
		if (ps->end - ps->p < 2 || ps->p[1] != ':')
			return fail(ps, -EINVAL, "this group is not supported");
		ps->p += 2;
	}
	if (++ps->depth > NFA_DEPTH_MAX)
		return fail(ps, -EINVAL, "groups are nested too deeply");
	parse_alternatives(ps);
	ps->depth--;
	if (ps->ret)
		return;
	if (ps->p == ps->end)
		return fail(ps, -EINVAL, "parenthesis is not closed");
	ps->p++;
}

static void parse_atom(struct parser *ps)
{
	struct byte_set set = { 0 };
	int c = *ps->p++;

	switch (c) {
	case '(':
		return parse_group(ps);
	case '[':
		return parse_bracket(ps);
	case '^':
		return emit(ps, OP_BEGIN, 0, 0);
	case '$':
		return emit(ps, OP_END, 0, 0);
	case '*':
	case '+':
	case '?':
	case '{':
		return fail(ps, -EINVAL, "nothing to repeat");
	case '.':
		set_invert(&set);
		break;
	case '\\':
		c = parse_escape(ps, &set);
		if (c >= 0)
			set_add(&set, c);
		break;
	default:
		set_add(&set, c);
	}
	if (!ps->ret)
		emit_set(ps, &set);
}

/* Alternatives up to a closing parenthesis or the end. */
static void parse_alternatives(struct parser *ps)
{
	struct nfa *nfa = ps->nfa;
	unsigned int start = nfa->n_insts, last = start;

	while (ps->p < ps->end && !ps->ret) {
		unsigned int at = nfa->n_insts, n;

		if (*ps->p == ')') {
			if (ps->depth == 0)
				fail(ps, -EINVAL, "parenthesis not opened");
			break;
		}
		if (*ps->p != '|') {
			parse_atom(ps);
			parse_repeats(ps, at);
			continue;
		}
		/* All before is the left branch: split in front of this
		 * alternative, jump over the following one from its end. */
		ps->p++;
		n = nfa->n_insts - last;
		if (!open_gap(ps, last, 1))
			break;
		nfa->inst[last] = (struct inst){ OP_SPLIT, 1, n + 2, 0 };
		/* The jump's target is set when the group's end is known. */
		emit(ps, OP_JUMP, 0, 1);
		last = nfa->n_insts;
	}
	/* y = 1 marks jumps of this group; nested ones are done (y = 0). */
	for (unsigned int i = start; i < nfa->n_insts; i++)
		if (nfa->inst[i].op == OP_JUMP && nfa->inst[i].y) {
			nfa->inst[i].x = nfa->n_insts - i;
			nfa->inst[i].y = 0;
		}
}

int nfa_compile(const char *pattern, size_t len, struct nfa **ret,
		const char **ret_error)
{
	struct parser ps = {
		.p = (const unsigned char *)pattern,
		.end = (const unsigned char *)pattern + len,
	};
	struct nfa *small;

	ps.nfa = calloc(1, sizeof(*ps.nfa));
	if (!ps.nfa)
		return -ENOMEM;
	if (len >= 4 && !memcmp(pattern, "(?i)", 4)) {
		ps.fold = true;
		ps.p += 4;
	}
	parse_alternatives(&ps);
	if (ps.ret) {
		nfa_free(ps.nfa);
		*ret_error = ps.error;
		return ps.ret;
	}
	/* open_gap() has left room for this one. */
	ps.nfa->inst[ps.nfa->n_insts++].op = OP_MATCH;
	small = ps.nfa;
	*ret = small;
	return 0;
}

void nfa_free(struct nfa *nfa)
{
	free(nfa);
}

struct threads {
	unsigned int n;
	uint16_t pc[NFA_STATES_MAX];
	uint32_t mark[NFA_STATES_MAX]; /* == generation: is in the list */
	uint32_t generation;
};

/* Adds PC and all that it reaches without a byte; true if that is a match.
 * Each instruction enters a list once, which bounds the work. */
static bool add(const struct nfa *nfa, struct threads *list, unsigned int pc,
		bool begin, bool end)
{
	uint16_t stack[NFA_STATES_MAX];
	unsigned int depth = 0;
	bool match = false;

	if (list->mark[pc] == list->generation)
		return false;
	list->mark[pc] = list->generation;
	stack[depth++] = pc;
	while (depth) {
		unsigned int next[2], n = 0;

		pc = stack[--depth];
		switch (nfa->inst[pc].op) {
		case OP_SET:
			list->pc[list->n++] = pc;
			break;
		case OP_SPLIT:
			next[n++] = pc + nfa->inst[pc].y;
			next[n++] = pc + nfa->inst[pc].x;
			break;
		case OP_JUMP:
			next[n++] = pc + nfa->inst[pc].x;
			break;
		case OP_BEGIN:
			if (begin)
				next[n++] = pc + 1;
			break;
		case OP_END:
			if (end)
				next[n++] = pc + 1;
			break;
		case OP_MATCH:
			match = true;
			break;
		}
		for (unsigned int i = 0; i < n; i++)
			if (list->mark[next[i]] != list->generation) {
				list->mark[next[i]] = list->generation;
				stack[depth++] = next[i];
			}
	}
	return match;
}

bool nfa_search(const struct nfa *nfa, const void *data, size_t len)
{
	static _Thread_local struct threads lists[2];
	struct threads *now = &lists[0], *then = &lists[1], *swap;
	const unsigned char *bytes = data;

	memset(now->mark, 0, sizeof(now->mark));
	memset(then->mark, 0, sizeof(then->mark));
	now->generation = then->generation = 1;
	now->n = 0;
	for (size_t i = 0;; i++) {
		/* A match may start at every position. */
		if (add(nfa, now, 0, i == 0, i == len))
			return true;
		if (i == len)
			return false;
		then->n = 0;
		then->generation = i + 2;
		for (unsigned int t = 0; t < now->n; t++) {
			const struct inst *inst = &nfa->inst[now->pc[t]];

			if (set_has(&nfa->set[inst->set], bytes[i]) &&
			    add(nfa, then, now->pc[t] + 1, false,
				i + 1 == len))
				return true;
		}
		swap = now;
		now = then;
		then = swap;
	}
}
