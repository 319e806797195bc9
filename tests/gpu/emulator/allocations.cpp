/* The device's memory: which bytes are allocated, which were ever written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "emulator.h"

enum { GUARD = 512, POISON = 0xff, GUARD_BYTE = 0xa5 };

/* By address. */
static struct allocation **table;
static size_t n_table, max_table;
static uint64_t n_ever;
static struct allocation *recent[4];

static size_t place_of(const void *address) { /* the first that begins behind it */
    size_t low = 0, high = n_table;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (table[middle]->base <= (const unsigned char *)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct allocation *emulated_memory_find(const void *address, size_t bytes) {
    const unsigned char *at = (const unsigned char *)address;
    for (int i = 0; i < 4; i++) {
        struct allocation *found = recent[i];
        if (found && at >= found->base && at < found->base + found->bytes)
            return bytes <= (size_t)(found->base + found->bytes - at) ? found : NULL;
    }
    const size_t place = place_of(address);
    if (!place) return NULL;
    struct allocation *found = table[place - 1];
    if (at >= found->base + found->bytes) return NULL;
    static unsigned turn;
    recent[turn++ % 4] = found;
    return bytes <= (size_t)(found->base + found->bytes - at) ? found : NULL;
}

struct allocation *emulated_memory_take(size_t bytes) {
    struct allocation *made = (struct allocation *)calloc(1, sizeof *made);
    if (n_table == max_table) {
        max_table = max_table ? 2 * max_table : 64;
        table = (struct allocation **)realloc(table, max_table * sizeof *table);
    }
    if (!made || !table) abort();
    made->block = (unsigned char *)aligned_alloc(GUARD, (bytes + 3 * GUARD - 1) / GUARD * GUARD);
    made->written = (uint64_t *)calloc(bytes / 64 + 2, 8);
    if (!made->block || !made->written) {
        free(made->block);
        free(made->written);
        free(made);
        return NULL;
    }
    made->base = made->block + GUARD;
    made->bytes = bytes;
    made->number = n_ever++;
    memset(made->block, GUARD_BYTE, GUARD);
    memset(made->base, POISON, bytes);
    memset(made->base + bytes, GUARD_BYTE, GUARD);
    const size_t place = place_of(made->base);
    memmove(table + place + 1, table + place, (n_table - place) * sizeof *table);
    table[place] = made;
    n_table++;
    return made;
}

bool emulated_memory_give(void *address) {
    const size_t place = place_of(address);
    if (!place || table[place - 1]->base != address) return false;
    struct allocation *gone = table[place - 1];
    bool whole = true;
    for (size_t i = 0; i < GUARD; i++)
        whole = whole && gone->block[i] == GUARD_BYTE && gone->base[gone->bytes + i] == GUARD_BYTE;
    memmove(table + place - 1, table + place, (n_table - place) * sizeof *table);
    n_table--;
    memset(recent, 0, sizeof recent);
    free(gone->block);
    free(gone->written);
    free(gone->words);
    free(gone);
    return whole;
}

void emulated_memory_mark(struct allocation *allocation, const void *address, size_t bytes) {
    size_t at = (size_t)((const unsigned char *)address - allocation->base), end = at + bytes;
    for (; at < end && at % 64; at++) allocation->written[at / 64] |= UINT64_C(1) << at % 64;
    for (; at + 64 <= end; at += 64) allocation->written[at / 64] = ~UINT64_C(0);
    for (; at < end; at++) allocation->written[at / 64] |= UINT64_C(1) << at % 64;
}

size_t emulated_memory_live(size_t *bytes) {
    *bytes = 0;
    for (size_t i = 0; i < n_table; i++) *bytes += table[i]->bytes;
    return n_table;
}

void emulated_memory_list(void) {
    for (size_t i = 0; i < n_table; i++)
        fprintf(stderr, "emulator: allocation %llu of %zu bytes is still there\n",
                (unsigned long long)table[i]->number, table[i]->bytes);
}

/* ---- what kernels do ---- */

[[noreturn]] static void fail_outside(const void *address, size_t bytes, const char *does,
                                      struct site site) {
    const size_t place = place_of(address);
    if (!place) emulated_fail(site, "%s %zu bytes at %p, in no allocation", does, bytes, address);
    const struct allocation *before = table[place - 1];
    emulated_fail(site,
                  "%s %zu bytes at %p, which is byte %zu of allocation %llu of %zu bytes: out of "
                  "bounds",
                  does, bytes, address, (size_t)((const unsigned char *)address - before->base),
                  (unsigned long long)before->number, before->bytes);
}

static struct allocation *check_place(const void *address, size_t bytes, size_t align,
                                      const char *does, struct site site) {
    struct allocation *in = emulated_memory_find(address, bytes);
    if (!in) fail_outside(address, bytes, does, site);
    if (align && (uintptr_t)address % align)
        emulated_fail(site, "%s %zu bytes at %p, which is misaligned", does, bytes, address);
    return in;
}

static bool all_written(const struct allocation *in, size_t at, size_t bytes, size_t *first) {
    if (at % 64 + bytes <= 64) {
        const uint64_t mask = (bytes == 64 ? 0 : UINT64_C(1) << bytes) - 1;
        if ((in->written[at / 64] >> at % 64 & mask) == mask) return true;
    }
    for (size_t i = at; i < at + bytes; i++) {
        while (i % 64 == 0 && i + 64 <= at + bytes && in->written[i / 64] == ~UINT64_C(0)) i += 64;
        if (i < at + bytes && !(in->written[i / 64] >> i % 64 & 1)) {
            *first = i;
            return false;
        }
    }
    return true;
}

/* ---- races between blocks ---- */

/* Blocks run in any order and at once. What one has written in a launch another may not read or
 * write, and what one has read another may not write, unless the other has done an atomic operation
 * before: the only way here that orders blocks. Words that are accessed in smaller parts are left
 * out. */
enum { BY_MANY = 0x7fffffff };

static uint32_t block_of(uint64_t access) { /* + 1; 0: none in this launch */
    return access >> 32 == emulated.number ? (uint32_t)access & BY_MANY : 0;
}

static bool is_other(uint32_t block) {
    const struct emulated_block *self = emulated_self->block;
    if (!block || self->did_atomic) return false;
    return block == BY_MANY || (block - 1) / emulated.cluster != self->index / emulated.cluster;
}

[[noreturn]] static void fail_block_race(const struct allocation *in, size_t word, uint32_t block,
                                         const char *does, const char *did, struct site site) {
    char who[40];
    snprintf(who, sizeof who, block == BY_MANY ? "several blocks" : "block %u", block - 1);
    emulated_fail(site, "race: %s byte %zu of allocation %llu, which %s %s in the same launch",
                  does, word * 4, (unsigned long long)in->number, who, did);
}

/* Fences that each thread of each block of the launch has made; empty before the first one. */
static std::vector<uint32_t> fences;
static uint32_t fences_of; /* that launch */

static size_t fence_place(uint32_t block, uint32_t thread) {
    return (size_t)block * emulated.threads + thread;
}
static uint32_t fences_made(uint32_t block, uint32_t thread) {
    return fences_of == emulated.number ? fences[fence_place(block, thread)] : 0;
}

void emulated_fence_device() {
    if (fences_of != emulated.number) {
        fences.assign((size_t)emulated.grid * emulated.threads, 0);
        fences_of = emulated.number;
    }
    fences[fence_place(emulated_self->block->index, emulated_self->index)]++;
}

/* After atomic operations: the writer must have made a fence after it wrote. */
static void check_fenced(const struct allocation *in, size_t word, uint32_t writer,
                         struct site site) {
    const struct block_access *at = &in->words[word];
    if (!writer || writer - 1 == emulated_self->block->index || (at->write & ACCESS_ATOMIC)) return;
    if (fences_made(writer - 1, at->thread) == at->fences)
        emulated_fail(site,
                      "race: reads byte %zu of allocation %llu, which thread %u of block %u wrote "
                      "without a fence_device after it",
                      word * 4, (unsigned long long)in->number, at->thread, writer - 1);
}

static struct block_access *words_of(struct allocation *in, size_t bytes) {
    if (bytes < 4 || in->bytes > (size_t)256 << 20) return NULL;
    if (!in->words) in->words = (struct block_access *)calloc(in->bytes / 4 + 1, sizeof *in->words);
    return in->words;
}

static void note_block_read(struct allocation *in, size_t at, size_t bytes, struct site site) {
    struct block_access *words = words_of(in, bytes);
    const uint32_t self = emulated_self->block->index + 1;
    for (size_t word = at / 4; words && word < (at + bytes) / 4; word++) {
        const uint32_t writer = block_of(words[word].write), reader = block_of(words[word].read);
        if (is_other(writer) && !(words[word].write & ACCESS_ATOMIC))
            fail_block_race(in, word, writer, "reads", "wrote", site);
        check_fenced(in, word, writer, site);
        words[word].read =
            (uint64_t)emulated.number << 32 | (reader && reader != self ? (uint32_t)BY_MANY : self);
    }
}

static void note_block_write(struct allocation *in, size_t at, size_t bytes, struct site site) {
    struct block_access *words = words_of(in, bytes);
    const uint32_t self = emulated_self->block->index + 1;
    for (size_t word = at / 4; words && word < (at + bytes) / 4; word++) {
        const uint32_t writer = block_of(words[word].write), reader = block_of(words[word].read);
        if (is_other(writer)) fail_block_race(in, word, writer, "writes", "wrote", site);
        if (is_other(reader)) fail_block_race(in, word, reader, "writes", "read", site);
        words[word].write = (uint64_t)emulated.number << 32 | self;
        words[word].thread = emulated_self->index;
        words[word].fences = fences_made(self - 1, emulated_self->index);
    }
}

/* ---- */

void emulated_global_read(const void *from, size_t bytes, size_t align, struct site site) {
    struct allocation *in = check_place(from, bytes, align, "reads", site);
    const size_t at = (size_t)((const unsigned char *)from - in->base);
    size_t first;
    if (!all_written(in, at, bytes, &first))
        emulated_fail(site,
                      "reads byte %zu of allocation %llu of %zu bytes, which nothing has "
                      "written",
                      first, (unsigned long long)in->number, in->bytes);
    if (!emulated_self->waited_for_previous && in->written_by_kernel)
        emulated_fail(site,
                      "reads what a kernel may have written before it waited for the previous "
                      "kernel");
    note_block_read(in, at, bytes, site);
}

static void mark_written(struct allocation *in, void *to, size_t bytes) {
    const size_t at = (size_t)((unsigned char *)to - in->base);
    in->written_by_kernel = true;
    if (at % 64 + bytes <= 64)
        in->written[at / 64] |= ((bytes == 64 ? 0 : UINT64_C(1) << bytes) - 1) << at % 64;
    else
        emulated_memory_mark(in, to, bytes);
}

void emulated_global_write(void *to, size_t bytes, size_t align, struct site site) {
    struct allocation *in = check_place(to, bytes, align, "writes", site);
    if (!emulated_self->waited_for_previous)
        emulated_fail(site, "writes before it waited for the previous kernel");
    mark_written(in, to, bytes);
    note_block_write(in, (size_t)((unsigned char *)to - in->base), bytes, site);
}

uint32_t emulated_global_add(uint32_t *at, uint32_t value, struct site site) {
    struct allocation *in = check_place(at, 4, 4, "adds to", site);
    const size_t place = (size_t)((unsigned char *)at - in->base);
    size_t first;
    if (!emulated_self->waited_for_previous)
        emulated_fail(site, "adds before it waited for the previous kernel");
    if (!all_written(in, place, 4, &first))
        emulated_fail(site, "adds to byte %zu of allocation %llu, which nothing has written", place,
                      (unsigned long long)in->number);
    emulated_self->block->did_atomic = true;
    mark_written(in, at, 4);
    struct block_access *words = words_of(in, 4);
    if (words)
        words[place / 4].write =
            (uint64_t)emulated.number << 32 | ACCESS_ATOMIC | (emulated_self->block->index + 1);
    const uint32_t before = *at;
    *at = before + value;
    return before;
}
