/* Threads of execution that give way to each other where they say so. */
#ifndef GPU_FIBER_H
#define GPU_FIBER_H

#include <stddef.h>

enum { FIBER_STACK = 256 * 1024 };

/* A stack with a page below it that must not be touched. NULL: no memory. */
void *fiber_stack();
/* Where fiber_switch goes to begin `run`, which must not return. */
void *fiber_start(void *stack, void (*run)());
/* Goes on at `to`; *from is where to come back. */
extern "C" void fiber_switch(void **from, void *to);

#endif
