#include "cuda/kernels/elementwise/gate.cuh"

KERNEL(gate, gate_args, GATE_THREADS, 4) {
    gate_run(own_launch{}, args);
}

KERNEL(softcap, softcap_args, SOFTCAP_THREADS, 4) {
    softcap_run(own_launch{}, args);
}
