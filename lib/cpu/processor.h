/* The CPU as a device: what it is and what was built for it. */
#ifndef CPU_PROCESSOR_H
#define CPU_PROCESSOR_H

#include "backend.h"

int processor_count_devices(char *why, size_t size);
status processor_info(int device, struct backend_device *info);
size_t processor_describe(char *text, size_t size);

#endif
