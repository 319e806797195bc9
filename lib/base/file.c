#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The reason of errno, in buffer [64] or static. */
static const char *reason(int error, char *buffer) {
    return strerror_r(error, buffer, 64);
}

static status fail_open(const char *name, int error) {
    char buffer[64];
    if (error == ENOENT || error == ENOTDIR)
        return fail(NOT_FOUND, "%s: %s", name, reason(error, buffer));
    if (error == ENOMEM)
        return fail(OUT_OF_MEMORY, "%s: can't be opened: %s", name, reason(error, buffer));
    return fail(IO, "%s: can't be opened: %s", name, reason(error, buffer));
}

static status map_whole(struct file *file) {
    char buffer[64];
    if (file->size > SIZE_MAX / 2)
        return fail(IO, "%s: %" PRIu64 " bytes can't be mapped", file->name, file->size);
    void *bytes = mmap(NULL, (size_t)file->size, PROT_READ, MAP_PRIVATE, file->descriptor, 0);
    if (bytes == MAP_FAILED)
        return fail(errno == ENOMEM ? OUT_OF_MEMORY : IO, "%s: can't be mapped: %s", file->name,
                    reason(errno, buffer));
    /* Weights are read once, front to back. */
    (void)madvise(bytes, (size_t)file->size, MADV_SEQUENTIAL);
    file->bytes = bytes;
    file->mapped = file->size;
    close(file->descriptor);
    file->descriptor = -1;
    return OK;
}

status file_open(struct file *file, const char *name, bool map) {
    *file = (struct file){.name = name, .descriptor = -1};
    int descriptor;
    do { /* O_NONBLOCK: a pipe is refused below instead of waited for */
        descriptor = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) return fail_open(name, errno);
    file->descriptor = descriptor;

    char buffer[64];
    struct stat about;
    status result = OK;
    if (fstat(descriptor, &about) != 0)
        result = fail(IO, "%s: its size can't be told: %s", name, reason(errno, buffer));
    else if (S_ISDIR(about.st_mode))
        result = fail(IO, "%s: is a directory", name);
    else if (!S_ISREG(about.st_mode))
        result = fail(IO, "%s: is not a regular file", name);
    else if (about.st_size < 0)
        result = fail(IO, "%s: has a negative size", name);
    if (result == OK) {
        file->size = (uint64_t)about.st_size;
        if (map && file->size > 0) result = map_whole(file);
    }
    if (result != OK) file_close(file);
    return result;
}

bool file_is_folder(const char *name) {
    int descriptor = open(name, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (descriptor < 0) return false;
    close(descriptor);
    return true;
}

void file_open_memory(struct file *file, const char *name, const void *data, size_t size) {
    *file = (struct file){.name = name, .size = size, .bytes = data, .descriptor = -1};
}

status file_open_reader(struct file *file, const char *name, const transformer_reader *reader) {
    *file = (struct file){.name = name, .descriptor = -1};
    int64_t size = reader->size(reader->user, name);
    if (size < 0) return fail(NOT_FOUND, "%s: the reader has no such file", name);
    file->size = (uint64_t)size;
    file->reader = reader;
    return OK;
}

static status read_descriptor(const struct file *file, uint64_t offset, size_t n, uint8_t *buffer) {
    char text[64];
    while (n > 0) {
        ssize_t got = pread(file->descriptor, buffer, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return fail(IO, "%s: reading %zu bytes at offset %" PRIu64 " failed: %s", file->name, n,
                        offset, reason(errno, text));
        if (got == 0)
            return fail(IO, "%s: ends at offset %" PRIu64 ", it had %" PRIu64 " bytes when opened",
                        file->name, offset, file->size);
        buffer += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return OK;
}

status file_read(const struct file *file, uint64_t offset, size_t n, void *buffer) {
    if (offset > file->size || n > file->size - offset)
        return fail(INTERNAL, "%s: %zu bytes at offset %" PRIu64 " are beyond its end", file->name,
                    n, offset);
    if (n == 0) return OK;
    if (file->bytes) {
        memcpy(buffer, file->bytes + offset, n);
        return OK;
    }
    if (file->reader) {
        const transformer_reader *reader = file->reader;
        int64_t got = reader->read(reader->user, file->name, offset, buffer, n);
        if (got < 0 || (uint64_t)got != n)
            return fail(IO, "%s: the reader gave %" PRId64 " of %zu bytes at offset %" PRIu64,
                        file->name, got, n, offset);
        return OK;
    }
    if (file->descriptor < 0) return fail(STATE, "%s: is closed", file->name);
    return read_descriptor(file, offset, n, buffer);
}

static uint64_t page_size(void) {
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A fault may have mapped the whole of a large folio, with what had been dropped before it. */
#define DROP_BEFORE ((uint64_t)4 << 20)

void file_drop(const struct file *file, uint64_t offset, uint64_t n) {
    if (offset >= file->mapped) return;
    uint64_t page = page_size();
    uint64_t end = n < file->mapped - offset ? offset + n : file->mapped;
    uint64_t first = offset > DROP_BEFORE ? (offset - DROP_BEFORE) / page * page : 0;
    uint64_t last = end / page * page;
    if (first < last)
        (void)madvise((void *)(uintptr_t)(file->bytes + first), (size_t)(last - first),
                      MADV_DONTNEED);
}

void file_keep_head(struct file *file, uint64_t n) {
    if (!file->mapped) return;
    uint64_t page = page_size();
    uint64_t keep = n < file->mapped ? (n + page - 1) / page * page : file->mapped;
    if (keep >= file->mapped) return;
    if (munmap((void *)(uintptr_t)(file->bytes + keep), (size_t)(file->mapped - keep)) == 0)
        file->mapped = keep;
}

void file_close_data(struct file *file) {
    if (file->mapped) munmap((void *)(uintptr_t)file->bytes, (size_t)file->mapped);
    if (file->name && file->descriptor >= 0) close(file->descriptor);
    file->mapped = 0;
    file->bytes = NULL;
    file->reader = NULL;
    file->descriptor = -1;
}

void file_close(struct file *file) {
    file_close_data(file);
    *file = (struct file){.descriptor = -1};
}
