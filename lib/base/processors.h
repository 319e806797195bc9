#ifndef BASE_PROCESSORS_H
#define BASE_PROCESSORS_H

/* Processors that the calling thread may run on, at least 1. */
int processors_count(void);

#endif
