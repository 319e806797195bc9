/* The probes' kernels on a GPU: probe.fatbin, in the program's folder. The emulator has them
 * itself. */
#ifndef GPU_PROBE_IMAGE_H
#define GPU_PROBE_IMAGE_H

#include "gpu_test.h"

/* false: it is not there or can't be loaded; says so. gpu_close unloads it. */
bool probe_image_load(struct gpu *gpu, const char *program);

#endif
