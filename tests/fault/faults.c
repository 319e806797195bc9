#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fault_arm(struct fault *fault, int64_t fail_at, bool from_there) {
    *fault = (struct fault){.fail_at = fail_at, .from_there = from_there};
}

void fault_disarm(struct fault *fault) {
    fault->fail_at = 0;
}

bool fault_strikes(struct fault *fault) {
    fault->calls++;
    if (!fault->fail_at) return false;
    bool strikes =
        fault->calls == fault->fail_at || (fault->from_there && fault->calls > fault->fail_at);
    fault->struck = fault->struck || strikes;
    return strikes;
}

static void *allocate(void *user, uint64_t size, uint64_t alignment) {
    struct faulty_memory *memory = user;
    if (fault_strikes(&memory->fault)) return NULL;
    void *block = aligned_alloc(alignment, size);
    if (block) memory->live += (int64_t)size;
    return block;
}

static void release(void *user, void *block, uint64_t size) {
    struct faulty_memory *memory = user;
    memory->live -= (int64_t)size;
    free(block);
}

transformer_allocator faulty_memory_allocator(struct faulty_memory *memory) {
    return (transformer_allocator){.allocate = allocate, .release = release, .user = memory};
}

static int64_t file_size(void *user, const char *name) {
    struct faulty_file *file = user;
    (void)name;
    return fault_strikes(&file->fault) ? -1 : file->size;
}

static int64_t file_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    struct faulty_file *file = user;
    (void)name;
    if (offset > (uint64_t)file->size || n > (uint64_t)file->size - offset) return -1;
    bool strikes = fault_strikes(&file->fault);
    if (strikes && !file->shorten) return -1;
    if (strikes) n /= 2;
    memcpy(buffer, file->bytes + offset, n);
    return (int64_t)n;
}

transformer_reader faulty_file_reader(struct faulty_file *file) {
    return (transformer_reader){.size = file_size, .read = file_read, .user = file};
}

uint8_t *faults_read_file(const char *path, int64_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (file && fseek(file, 0, SEEK_END) == 0 && (*size = ftell(file)) > 0) {
        rewind(file);
        bytes = malloc((size_t)*size);
        if (bytes && fread(bytes, 1, (size_t)*size, file) != (size_t)*size) *size = -1;
    }
    if (!bytes || *size < 0) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
    return bytes;
}
