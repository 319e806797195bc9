/* One file of a checkpoint, and the bytes that its head is parsed from. */
#ifndef FORMAT_PART_H
#define FORMAT_PART_H

#include "base/file.h"
#include "format/checkpoint.h"

struct part {
    struct file file;
    const uint8_t *head; /* [head_available] from the file's beginning: the file's own bytes, or a
                            copy */
    uint64_t head_available;
    uint64_t head_bytes; /* up to the end of the last tensor's entry; set by the format */
    void *head_copy;     /* NULL: head is file.bytes */
    uint64_t data_offset;
    size_t first_tensor; /* index of its first tensor; the next part's are after its own */
};

/* name must outlive the part. Fails with nothing to clean up. */
status part_open(struct part *part, struct memory *memory, const struct checkpoint_options *options,
                 const char *name);
/* Twice as much of the head becomes available, at most the whole file; head moves. However much the
 * head claims to need, memory is taken only in step with bytes that were read. */
status part_read_head(struct part *part, struct memory *memory);
/* The head is parsed: a copy is cut to head_bytes and moves. *old is the former copy, for the
 * caller to give back once nothing points into it; NULL if the head stays where it is. */
status part_cut_head(struct part *part, struct memory *memory, void **old);
/* Nothing of the head is needed any more. */
void part_drop_head(struct part *part, struct memory *memory);
/* Nothing of the part but its head will be read any more: closes the file, unmaps the rest. */
void part_finish(struct part *part);
/* A zeroed part does nothing. */
void part_close(struct part *part, struct memory *memory);

#endif
