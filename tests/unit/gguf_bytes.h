/* Writes GGUF files by hand, right and wrong ones, for tests of their reader. */
#ifndef TESTS_GGUF_BYTES_H
#define TESTS_GGUF_BYTES_H

#include "format/checkpoint.h"

#include <stdlib.h>
#include <string.h>

struct bytes {
    size_t n;
    uint8_t data[1 << 16];
};

static inline void put(struct bytes *b, const void *from, size_t n) {
    if (n > sizeof b->data - b->n) abort();
    if (n) memcpy(b->data + b->n, from, n);
    b->n += n;
}

static inline void put_u8(struct bytes *b, uint8_t value) {
    put(b, &value, sizeof value);
}
static inline void put_u16(struct bytes *b, uint16_t value) {
    put(b, &value, sizeof value);
}
static inline void put_u32(struct bytes *b, uint32_t value) {
    put(b, &value, sizeof value);
}
static inline void put_u64(struct bytes *b, uint64_t value) {
    put(b, &value, sizeof value);
}
static inline void put_f32(struct bytes *b, float value) {
    put(b, &value, sizeof value);
}
static inline void put_f64(struct bytes *b, double value) {
    put(b, &value, sizeof value);
}
static inline void put_string(struct bytes *b, const char *text) {
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

static inline void put_head(struct bytes *b, uint32_t version, uint64_t n_tensors,
                            uint64_t n_keys) {
    b->n = 0;
    put(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_keys);
}

/* A key and its value's kind; the value follows. */
static inline void put_key(struct bytes *b, const char *key, uint32_t kind) {
    put_string(b, key);
    put_u32(b, kind);
}

static inline void put_array(struct bytes *b, const char *key, uint32_t element, uint64_t count) {
    put_key(b, key, METADATA_ARRAY);
    put_u32(b, element);
    put_u64(b, count);
}

static inline void put_key_u32(struct bytes *b, const char *key, uint32_t value) {
    put_key(b, key, METADATA_U32);
    put_u32(b, value);
}

static inline void put_key_u16(struct bytes *b, const char *key, uint16_t value) {
    put_key(b, key, METADATA_U16);
    put_u16(b, value);
}

static inline void put_key_string(struct bytes *b, const char *key, const char *value) {
    put_key(b, key, METADATA_STRING);
    put_string(b, value);
}

/* A tensor of two dimensions. */
static inline void put_tensor(struct bytes *b, const char *name, uint64_t n0, uint64_t n1,
                              uint32_t type, uint64_t offset) {
    put_string(b, name);
    put_u32(b, 2);
    put_u64(b, n0);
    put_u64(b, n1);
    put_u32(b, type);
    put_u64(b, offset);
}

/* Pads to the alignment, then n bytes of data: 0, 1, 2 … */
static inline void put_data(struct bytes *b, size_t alignment, size_t n) {
    while (b->n % alignment) put_u8(b, 0);
    for (size_t i = 0; i < n; i++) put_u8(b, (uint8_t)i);
}

enum { GGUF_F32 = 0, GGUF_F16 = 1, GGUF_Q8_0 = 8 };

/* Every kind of value, three tensors in 32 + 128 + 6 bytes of data. */
static inline void put_small_file(struct bytes *b) {
    put_head(b, 3, 3, 18);
    put_key_string(b, "general.architecture", "llama");
    put_key(b, "a.u8", METADATA_U8), put_u8(b, 200);
    put_key(b, "a.i8", METADATA_I8), put_u8(b, 0xFB);
    put_key_u16(b, "a.u16", 60000);
    put_key(b, "a.i16", METADATA_I16), put_u16(b, 0xFFFE);
    put_key_u32(b, "a.u32", 4000000000u);
    put_key(b, "a.i32", METADATA_I32), put_u32(b, 0xFFFFFFFDu);
    put_key(b, "a.f32", METADATA_F32), put_f32(b, 1.5f);
    put_key(b, "a.bool", METADATA_BOOL), put_u8(b, 1);
    put_key(b, "a.u64", METADATA_U64), put_u64(b, UINT64_MAX);
    put_key(b, "a.i64", METADATA_I64), put_u64(b, (uint64_t)INT64_MIN);
    put_key(b, "a.f64", METADATA_F64), put_f64(b, 1e300);
    put_key(b, "a.eps", METADATA_F64), put_f64(b, 1e-6);
    put_key(b, "a.nan", METADATA_F32), put_u32(b, 0x7FC00000u);
    put_array(b, "a.numbers", METADATA_I32, 3), put_u32(b, 1), put_u32(b, 0xFFFFFFFFu),
        put_u32(b, 7);
    put_array(b, "a.floats", METADATA_F32, 2), put_f32(b, 0.25f), put_f32(b, -1e9f);
    put_array(b, "a.strings", METADATA_STRING, 3), put_string(b, "one"), put_string(b, ""),
        put_string(b, "three");
    put_array(b, "a.none", METADATA_U8, 0);
    put_tensor(b, "first", 4, 2, GGUF_F32, 0);
    put_tensor(b, "second", 32, 3, GGUF_Q8_0, 32);
    put_string(b, "third"), put_u32(b, 1), put_u64(b, 3), put_u32(b, GGUF_F16), put_u64(b, 160);
    put_data(b, 32, 32 + 128 + 6);
}

/* ---- an allocator that fails ---- */

struct faulty_allocator {
    long count;    /* allocations asked for so far */
    long fail_at;  /* the count that fails; 0: none */
    bool for_ever; /* and every later one too */
    long live;
    bool failed;
};

static inline void *faulty_allocate(void *user, uint64_t size, uint64_t alignment) {
    struct faulty_allocator *faulty = (struct faulty_allocator *)user;
    faulty->count++;
    if (faulty->fail_at && (faulty->count == faulty->fail_at ||
                            (faulty->for_ever && faulty->count > faulty->fail_at))) {
        faulty->failed = true;
        return NULL;
    }
    void *block = aligned_alloc(alignment, size);
    if (block) faulty->live++;
    return block;
}

static inline void faulty_release(void *user, void *block, uint64_t size) {
    (void)size;
    ((struct faulty_allocator *)user)->live--;
    free(block);
}

static inline transformer_allocator faulty_as_allocator(struct faulty_allocator *faulty) {
    return (transformer_allocator){
        .allocate = faulty_allocate, .release = faulty_release, .user = faulty};
}

#endif
