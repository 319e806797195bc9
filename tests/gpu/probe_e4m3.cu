/* The probes' products of e4m3, which sm_89 is the first to have. */
#include "tests/gpu/probe_chain.cuh"

KERNEL(probe_chain_e4m3, struct probe_chain_args, 32, 1) {
    chain<PROBE_E4M3>(args);
}
