/* The GPUs that can be used, numbered from 0, and what to tell of them. */
#ifndef CUDA_DEVICE_LIST_H
#define CUDA_DEVICE_LIST_H

#include "backend.h"
#include "cuda/select.h"

/* The backend's n_devices, device_info and describe. */
int device_list_count(char *why, size_t size);
status device_list_info(int device, struct backend_device *info);
size_t device_list_describe(char *text, size_t size);

/* The driver's number of the device. NOT_FOUND tells why there is none. */
status device_list_find(int device, int *ordinal, struct cuda_properties *properties);

#endif
