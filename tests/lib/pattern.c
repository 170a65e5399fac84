// SPDX-License-Identifier: GPL-2.0-only
/*
 * File contents by offset: the 8-byte word at each multiple of 8 is SplitMix64
 * of its number. See pattern.h. No state, any thread.
 */
#include "pattern.h"

#include <string.h>

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators. */
static uint64_t pattern_word(uint64_t number)
{
	uint64_t z = (number + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Walks the words that overlap the range; VISIT's part of each is LEN bytes
 * from byte SKIP of the word. */
#define PATTERN_EACH(offset, len, word, skip, n)                               \
	for (uint64_t pos_ = (offset), end_ = (offset) + (len), word, skip, n; \
	     pos_ < end_ && (word = pattern_word(pos_ / 8), skip = pos_ % 8,   \
			     n = 8 - skip < end_ - pos_ ? 8 - skip             \
							: end_ - pos_, true);  \
	     pos_ += n)

void pattern_fill(uint64_t offset, uint8_t *buf, size_t len)
{
	PATTERN_EACH(offset, len, word, skip, n) {
		memcpy(buf, (uint8_t *)&word + skip, n);
		buf += n;
	}
}

bool pattern_check(uint64_t offset, const uint8_t *buf, size_t len)
{
	PATTERN_EACH(offset, len, word, skip, n) {
		if (memcmp(buf, (uint8_t *)&word + skip, n))
			return false;
		buf += n;
	}
	return true;
}
