/* An allocator, a reader and thread starts that fail at a chosen call, and count what they gave. */
#ifndef FAULT_FAULTS_H
#define FAULT_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "transformer.h"

struct fault {
    int64_t calls;   /* since it was armed */
    int64_t fail_at; /* the call that fails, from 1; 0: none */
    bool from_there; /* and every later one */
    bool struck;     /* whether one failed */
};

void fault_arm(struct fault *fault, int64_t fail_at, bool from_there);
void fault_disarm(struct fault *fault);
/* Counts a call; true: it is to fail. */
bool fault_strikes(struct fault *fault);

struct faulty_memory {
    struct fault fault;
    int64_t live; /* bytes that were not given back */
};
/* The allocator points to memory. Not for concurrent calls. */
transformer_allocator faulty_memory_allocator(struct faulty_memory *memory);

struct faulty_file {
    struct fault fault;
    bool shorten;         /* fails by giving fewer bytes, not by an error */
    const uint8_t *bytes; /* [size] */
    int64_t size;
};
transformer_reader faulty_file_reader(struct faulty_file *file);

/* The file's bytes, malloc'ed; exits if it can't be read. */
uint8_t *faults_read_file(const char *path, int64_t *size);

#endif
