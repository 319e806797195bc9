/* Where bytes come from: a mapped file, a file that is read, memory of the host, or the host's
 * reader. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/status.h"

struct file {
    const char *name; /* for messages and the reader; the opener's, must outlive the file */
    uint64_t size;
    const uint8_t *bytes; /* [size] of a mapped file or of memory; NULL where file_read is needed */
    uint64_t mapped;      /* bytes mapped now, from the beginning */
    int descriptor;       /* -1: none */
    const transformer_reader *reader; /* the opener's, must outlive the file; NULL: none */
};

/* A regular file. map: its bytes can be had without file_read; it must not shrink while open.
 * NOT_FOUND, IO (a directory, say), OUT_OF_MEMORY. */
status file_open(struct file *file, const char *name, bool map);
/* A directory. */
bool file_is_folder(const char *name);
void file_open_memory(struct file *file, const char *name, const void *data, size_t size);
status file_open_reader(struct file *file, const char *name, const transformer_reader *reader);
/* Copies bytes [offset, offset + n), which must be within size. IO names file and offset. */
status file_read(const struct file *file, uint64_t offset, size_t n, void *buffer);
/* Bytes [offset, offset + n) of a mapped file won't be needed again, nor soon those a little before
 * them: their pages leave this process. */
void file_drop(const struct file *file, uint64_t offset, uint64_t n);
/* Nothing will be read any more: closes what is open, unmaps; name and size stay. */
void file_close_data(struct file *file);
/* Of a mapped file only the first n bytes stay; nothing can be read from any other. */
void file_keep_head(struct file *file, uint64_t n);
/* A zeroed struct, or one closed before, does nothing. */
void file_close(struct file *file);

#endif
