#include "cuda/kernels/elementwise/embed.cuh"

KERNEL(embed, embed_args, EMBED_THREADS, 1) {
    embed_run(own_launch{}, args);
}
