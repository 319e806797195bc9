/* What encoders have in common: queries see keys behind them, and there are no logits. */
#ifndef ARCH_ENCODER_H
#define ARCH_ENCODER_H

#include "arch/family.h"

enum { ENCODER_MAX_TOKEN_TYPES = 256 }; /* a token's type is kept in a byte */

/* decoder_read_model without a head; attention.causal must be false. */
status encoder_read_model(const struct keys *keys, struct binder *binder, int n_ropes,
                          struct spec *spec);
/* token_types, if the file has it. */
status encoder_bind_token_types(const struct keys *keys, struct binder *binder, struct spec *spec);
/* decoder_read_attention of a layer whose queries see all keys. */
status encoder_read_attention(const struct keys *keys, struct binder *binder, struct spec *spec,
                              int64_t layer);

#endif
