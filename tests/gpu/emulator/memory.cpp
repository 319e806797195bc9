/* Shared memory: bounds, what was never written, races, copies under way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

/* ---- one word or byte ---- */

static const char *thread_of(uint32_t access) {
    static char text[64];
    const uint32_t id = access & 2047, rank = id / MAX_THREADS;
    if (emulated.cluster > 1)
        snprintf(text, sizeof text, "thread %u of block %u", id % MAX_THREADS,
                 emulated.blocks[rank].index);
    else
        snprintf(text, sizeof text, "thread %u", id);
    return text;
}

[[noreturn]] static void fail_in_flight(const struct emulated_block *block, uint32_t word,
                                        const char *does, struct site site) {
    emulated_fail(site, "%s shared memory at %u while a copy of thread %u is still writing it",
                  does, word * 4, block->copier[word]);
}

static void check_write_before(const struct emulated_block *block, uint32_t access, uint32_t word,
                               const char *does, struct site site) {
    if (access == ACCESS_IN_FLIGHT) fail_in_flight(block, word, does, site);
    if (!ordered(access, emulated_self))
        emulated_fail(site,
                      "race: %s shared memory at %u, which %s wrote with no barrier in between",
                      does, word * 4, thread_of(access));
}

static void note_read(struct access *at) {
    const struct emulated_thread *self = emulated_self;
    const uint32_t mine = record(self);
    for (int i = 0; i < 2; i++) {
        if (at->read[i] == mine) return;
        if (!at->read[i] || (at->read[i] & 2047) == self->id || ordered(at->read[i], self)) {
            at->read[i] = mine;
            return;
        }
    }
}

static void check_read(struct emulated_block *block, struct access *at, uint32_t word,
                       struct site site) {
    if (!at->write)
        emulated_fail(site, "reads shared memory at %u, which nothing has written", word * 4);
    check_write_before(block, at->write, word, "reads", site);
    note_read(at);
}

static void check_overwrite(const struct emulated_block *block, const struct access *at,
                            uint32_t word, struct site site) {
    if (at->write) check_write_before(block, at->write, word, "writes", site);
    for (int i = 0; i < 2; i++)
        if (at->read[i] && !ordered(at->read[i], emulated_self))
            emulated_fail(site,
                          "race: writes shared memory at %u, which %s read with no barrier in "
                          "between",
                          word * 4, thread_of(at->read[i]));
}

static struct access *split(struct emulated_block *block, uint32_t word) {
    struct access *at = &block->words[word], *bytes = &block->bytes[word * 4];
    if (at->write != ACCESS_SPLIT) {
        for (int i = 0; i < 4; i++) bytes[i] = *at;
        *at = {ACCESS_SPLIT, {0, 0}};
    }
    return bytes;
}

/* ---- accesses ---- */

static void check_place(uint32_t at, uint32_t bytes, const char *does, struct site site) {
    if (at > emulated.shared_bytes || bytes > emulated.shared_bytes - at)
        emulated_fail(site, "%s %u bytes of shared memory at %u, of which the launch gave %u", does,
                      bytes, at, emulated.shared_bytes);
    if (at % bytes)
        emulated_fail(site, "%s %u bytes of shared memory at %u, which is misaligned", does, bytes,
                      at);
}

static void read_word(struct emulated_block *block, uint32_t word, struct site site) {
    struct access *at = &block->words[word];
    if (at->write != ACCESS_SPLIT) {
        check_read(block, at, word, site);
        return;
    }
    for (uint32_t i = 0; i < 4; i++) check_read(block, &block->bytes[word * 4 + i], word, site);
}

static void check_overwrite_word(struct emulated_block *block, uint32_t word, struct site site) {
    const struct access *at = &block->words[word];
    if (at->write != ACCESS_SPLIT) {
        check_overwrite(block, at, word, site);
        return;
    }
    for (uint32_t i = 0; i < 4; i++)
        check_overwrite(block, &block->bytes[word * 4 + i], word, site);
}

void emulated_shared_read(uint32_t at, void *to, uint32_t bytes, struct site site) {
    struct emulated_block *block = emulated_self->block;
    check_place(at, bytes, "reads", site);
    if (bytes >= 4) {
        for (uint32_t word = at / 4; word < (at + bytes) / 4; word++) read_word(block, word, site);
    } else {
        const struct access *word = &block->words[at / 4];
        if (word->write == ACCESS_IN_FLIGHT) fail_in_flight(block, at / 4, "reads", site);
        struct access *part = split(block, at / 4);
        for (uint32_t i = at % 4; i < at % 4 + bytes; i++)
            check_read(block, &part[i], at / 4, site);
    }
    memcpy(to, block->arena + at, bytes);
}

void emulated_shared_write(uint32_t at, const void *from, uint32_t bytes, struct site site) {
    struct emulated_block *block = emulated_self->block;
    const struct access mine = {record(emulated_self), {0, 0}};
    check_place(at, bytes, "writes", site);
    if (bytes >= 4) {
        for (uint32_t word = at / 4; word < (at + bytes) / 4; word++) {
            check_overwrite_word(block, word, site);
            block->words[word] = mine;
            block->proxy[word] = emulated_self->n_fences;
        }
    } else {
        if (block->words[at / 4].write == ACCESS_IN_FLIGHT)
            fail_in_flight(block, at / 4, "writes", site);
        struct access *part = split(block, at / 4);
        for (uint32_t i = at % 4; i < at % 4 + bytes; i++) {
            check_overwrite(block, &part[i], at / 4, site);
            part[i] = mine;
        }
        block->proxy[at / 4] = emulated_self->n_fences;
    }
    memcpy(block->arena + at, from, bytes);
}

uint32_t emulated_shared_add(uint32_t at, uint32_t value, struct site site) {
    struct emulated_block *block = emulated_self->block;
    check_place(at, 4, "adds to", site);
    struct access *word = &block->words[at / 4];
    if (word->write == ACCESS_SPLIT || !word->write || word->write == ACCESS_IN_FLIGHT)
        read_word(block, at / 4, site);
    if (word->write == ACCESS_SPLIT || !(word->write & ACCESS_ATOMIC)) {
        read_word(block, at / 4, site);
        check_overwrite_word(block, at / 4, site);
    }
    *word = {record(emulated_self) | ACCESS_ATOMIC, {0, 0}};
    block->proxy[at / 4] = emulated_self->n_fences;
    uint32_t before;
    memcpy(&before, block->arena + at, 4);
    value += before;
    memcpy(block->arena + at, &value, 4);
    return before;
}

static void check_proxy(const struct emulated_block *block, uint32_t word, struct site site) {
    const struct access *at = &block->words[word];
    const uint32_t access = at->write == ACCESS_SPLIT ? block->bytes[word * 4].write : at->write;
    const uint32_t id = access & 2047, fences = block->proxy[word];
    if (fences == ASYNC_PROXY) return;
    if (emulated.blocks[id / MAX_THREADS].threads[id % MAX_THREADS].n_fences == fences)
        emulated_fail(site,
                      "reads by the asynchronous proxy shared memory at %u, which %s wrote without "
                      "a fence_proxy_async after it",
                      word * 4, thread_of(access));
}

void emulated_shared_read_async(uint32_t at, void *to, struct site site) {
    struct emulated_block *block = emulated_self->block;
    check_place(at, 16, "reads", site);
    for (uint32_t word = at / 4; word < at / 4 + 4; word++) {
        read_word(block, word, site);
        check_proxy(block, word, site);
    }
    memcpy(to, block->arena + at, 16);
}

/* ---- copies ---- */

void emulated_shared_launch(struct emulated_block *block, uint32_t at, uint32_t bytes,
                            struct site site) {
    if (at > emulated.shared_bytes || bytes > emulated.shared_bytes - at)
        emulated_fail(site, "copies %u bytes to shared memory at %u, of which the launch gave %u",
                      bytes, at, emulated.shared_bytes);
    if (at % 16)
        emulated_fail(site, "copies to shared memory at %u, which is not a multiple of 16", at);
    for (uint32_t word = at / 4; word < (at + bytes) / 4; word++) {
        check_overwrite_word(block, word, site);
        block->words[word] = {ACCESS_IN_FLIGHT, {0, 0}};
        block->copier[word] = (uint16_t)emulated_self->index;
    }
    memset(block->arena + at, 0xff, bytes);
}

/* by: the record() under which others see it; from NULL: zeros; proxy as in emulated_block. */
void emulated_shared_land(struct emulated_block *block, uint32_t at, const void *from,
                          uint32_t bytes, uint32_t by, uint32_t proxy) {
    for (uint32_t word = at / 4; word < (at + bytes) / 4; word++) {
        block->words[word] = {by, {0, 0}};
        block->proxy[word] = (uint16_t)proxy;
    }
    if (from)
        memcpy(block->arena + at, from, bytes);
    else
        memset(block->arena + at, 0, bytes);
}

void emulated_copy_async16(uint32_t to, const void *from, bool valid, struct site site) {
    struct emulated_thread *self = emulated_self;
    if (valid) emulated_global_read(from, 16, 16, site);
    emulated_shared_launch(self->block, to, 16, site);
    if (self->n_copies == self->max_copies) {
        self->max_copies = self->max_copies ? 2 * self->max_copies : 64;
        self->copies =
            (struct copy_in_flight *)realloc(self->copies, self->max_copies * sizeof *self->copies);
        if (!self->copies) abort();
    }
    self->copies[self->n_copies++] = {to, valid ? from : NULL, self->n_groups};
}

/* The copies are done as late as they may be: at the wait that covers them. */
void emulated_copy_async_wait(uint32_t n) {
    struct emulated_thread *self = emulated_self;
    uint32_t left = 0;
    for (uint32_t i = 0; i < self->n_copies; i++) {
        const struct copy_in_flight copy = self->copies[i];
        if (copy.group + n < self->n_groups)
            emulated_shared_land(self->block, copy.to, copy.from, 16, record(self), self->n_fences);
        else
            self->copies[left++] = copy;
    }
    self->n_copies = left;
}

void emulated_shared_reset(struct emulated_block *block, uint32_t bytes) {
    if (!block->arena) {
        block->arena = (unsigned char *)aligned_alloc(1024, MAX_SHARED + 1024);
        block->words = (struct access *)calloc(MAX_SHARED / 4 + 4, sizeof *block->words);
        block->bytes = (struct access *)calloc(MAX_SHARED + 16, sizeof *block->bytes);
        block->copier = (uint16_t *)calloc(MAX_SHARED / 4 + 4, sizeof *block->copier);
        block->proxy = (uint16_t *)calloc(MAX_SHARED / 4 + 4, sizeof *block->proxy);
        if (!block->arena || !block->words || !block->bytes || !block->copier || !block->proxy)
            abort();
    }
    memset(block->arena, 0xff, bytes);
    memset(block->words, 0, (bytes / 4 + 1) * sizeof *block->words);
}
