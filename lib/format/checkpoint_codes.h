/* Tensors that are kept as codes with scales, for backends that multiply with the codes themselves.
 */
#ifndef FORMAT_CHECKPOINT_CODES_H
#define FORMAT_CHECKPOINT_CODES_H

#include "format/checkpoint.h"

/* Whether the tensor's matrices are kept as e4m3 codes with scales, and can be had as such. Then
 * *group columns of a row share a scale, the last ones of a row may be fewer. */
bool checkpoint_has_e4m3(const struct tensor *tensor, int64_t *group);
/* Of such a tensor n rows from `first` on, counted through its stack: codes [n][dims[0]] (OCP FP8
 * E4M3) and scales [n][ceil(dims[0] / group)]. What checkpoint_data has is their products. */
status checkpoint_e4m3(struct checkpoint *checkpoint, const struct tensor *tensor, int64_t first,
                       int64_t n, uint8_t *codes, float *scales);

#endif
