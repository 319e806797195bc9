#include "probe_image.h"

bool probe_image_load(struct gpu *gpu, const char *program) {
    return gpu_load(gpu, program, "probe.fatbin");
}
