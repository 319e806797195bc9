/* Devices by the numbers that the API gives them: 0 is the CPU, those of other backends follow. */
#ifndef ENGINE_DEVICES_H
#define ENGINE_DEVICES_H

#include "backend.h"

int32_t devices_count(void);
/* Whose device it is, and its number there. NOT_FOUND tells why there is none. */
status devices_find(int32_t number, const struct backend **backend, int *device);
/* What every backend has to say of itself, lines "key: value\n"; returns their length. */
size_t devices_describe(char *text, size_t size);

#endif
