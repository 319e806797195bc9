/* The device's memory: which bytes are allocated, which were ever written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unordered_map>
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

/* ---- blocks of a cooperative launch ---- */

/* What each block knows of the others' time. A block's own time is the number of its releases; what
 * it leaves at an address is known to whoever acquires there. Atomic additions do both. */
static struct {
    uint32_t of; /* that launch */
    std::vector<std::vector<uint32_t>> known;
    std::unordered_map<const void *, std::vector<uint32_t>> left;
    std::unordered_map<const void *, std::vector<uint32_t>> readers; /* of words, where several */
} together;

static std::vector<uint32_t> &known_to(uint32_t block) {
    if (together.of != emulated.number) {
        together.of = emulated.number;
        together.known.assign(emulated.grid, std::vector<uint32_t>(emulated.grid, 0));
        for (uint32_t i = 0; i < emulated.grid; i++) together.known[i][i] = 1;
        together.left.clear();
        together.readers.clear();
    }
    return together.known[block];
}
static void learn(std::vector<uint32_t> &to, const std::vector<uint32_t> &from) {
    to.resize(from.size());
    for (size_t i = 0; i < from.size(); i++)
        if (to[i] < from[i]) to[i] = from[i];
}
static void release(const void *at) {
    const uint32_t self = emulated_self->block->index;
    std::vector<uint32_t> &own = known_to(self);
    learn(together.left[at], own);
    own[self]++;
}
static void acquire(const void *at) {
    std::vector<uint32_t> &own = known_to(emulated_self->block->index);
    const auto left = together.left.find(at);
    if (left != together.left.end()) learn(own, left->second);
}

static void check_ordered(const struct allocation *in, size_t word, uint32_t block, uint32_t time,
                          const char *does, const char *did, struct site site) {
    if (known_to(emulated_self->block->index)[block - 1] < time)
        fail_block_race(in, word, block, does, did, site);
}

static void note_read_together(struct allocation *in, size_t word, struct site site) {
    struct block_access *at = &in->words[word];
    const uint32_t self = emulated_self->block->index + 1, now = known_to(self - 1)[self - 1];
    const uint32_t writer = block_of(at->write), reader = block_of(at->read);
    if (writer && !(at->write & ACCESS_ATOMIC))
        check_ordered(in, word, writer, at->wrote_at, "reads", "wrote", site);
    if (reader && reader != self) {
        std::vector<uint32_t> &readers = together.readers[in->base + word * 4];
        readers.resize(emulated.grid);
        if (reader != BY_MANY) readers[reader - 1] = at->read_at;
        readers[self - 1] = now;
    }
    at->read =
        (uint64_t)emulated.number << 32 | (reader && reader != self ? (uint32_t)BY_MANY : self);
    at->read_at = now;
}

static void note_write_together(struct allocation *in, size_t word, struct site site) {
    struct block_access *at = &in->words[word];
    const uint32_t self = emulated_self->block->index + 1, now = known_to(self - 1)[self - 1];
    const uint32_t writer = block_of(at->write), reader = block_of(at->read);
    if (writer) check_ordered(in, word, writer, at->wrote_at, "writes", "wrote", site);
    if (reader == BY_MANY) {
        const auto readers = together.readers.find(in->base + word * 4);
        for (uint32_t i = 0; i < emulated.grid; i++)
            check_ordered(in, word, i + 1, readers->second[i], "writes", "read", site);
        together.readers.erase(readers);
    } else if (reader) {
        check_ordered(in, word, reader, at->read_at, "writes", "read", site);
    }
    at->write = (uint64_t)emulated.number << 32 | self;
    at->wrote_at = now;
    at->read = 0;
}

static struct block_access *words_of(struct allocation *in, size_t bytes) {
    if (bytes < 4 || in->bytes > (size_t)256 << 20) return NULL;
    if (!in->words) in->words = (struct block_access *)calloc(in->bytes / 4 + 1, sizeof *in->words);
    return in->words;
}

static void note_block_read(struct allocation *in, size_t at, size_t bytes, struct site site) {
    struct block_access *words = words_of(in, bytes);
    const uint32_t self = emulated_self->block->index + 1;
    if (words && emulated.cooperative) {
        for (size_t word = at / 4; word < (at + bytes) / 4; word++)
            note_read_together(in, word, site);
        return;
    }
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
    if (words && emulated.cooperative) {
        for (size_t word = at / 4; word < (at + bytes) / 4; word++)
            note_write_together(in, word, site);
        return;
    }
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

static uint32_t add(uint32_t *at, uint32_t value, struct site site) {
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
    if (words) {
        const uint32_t self = emulated_self->block->index;
        words[place / 4].write = (uint64_t)emulated.number << 32 | ACCESS_ATOMIC | (self + 1);
        if (emulated.cooperative) words[place / 4].wrote_at = known_to(self)[self];
    }
    const uint32_t before = *at;
    *at = before + value;
    return before;
}

uint32_t emulated_global_add(uint32_t *at, uint32_t value, struct site site) {
    const uint32_t before = add(at, value, site);
    if (emulated.cooperative) {
        acquire(at);
        release(at);
        emulated_let_others_run();
    }
    return before;
}

void emulated_add_release(uint32_t *at, uint32_t value, struct site site) {
    if (!emulated.cooperative)
        emulated_fail(site, "blocks wait for each other, in a launch that isn't cooperative");
    if (emulated.lose_signal && ++emulated.n_signals >= emulated.lose_signal) return;
    add(at, value, site);
    release(at);
    emulated.progress++;
    emulated_let_others_run();
}

bool emulated_wait_for_count(const uint32_t *count, uint32_t wanted, const uint32_t *failed,
                             struct site site) {
    check_place(count, 4, 4, "waits for", site);
    check_place(failed, 4, 4, "looks at", site);
    if (!emulated.cooperative)
        emulated_fail(site, "blocks wait for each other, in a launch that isn't cooperative");
    for (;;) {
        if (*count == wanted) {
            acquire(count);
            emulated.progress++;
            return true;
        }
        if (*failed || emulated.stuck) return false;
        emulated_poll("a counter of another block", site);
    }
}
