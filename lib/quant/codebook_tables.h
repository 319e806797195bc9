/* Code books of the IQ formats: rows of eight (IQ1, IQ2: two bits a level) or four (IQ3: three
 * bits) indices, the first lowest; and levels by code. A code of IQ2 and IQ3 is an index and, above
 * it, a sign; of IQ1 an index and the sign of the shift by an eighth. */
#ifndef QUANT_CODEBOOK_TABLES_H
#define QUANT_CODEBOOK_TABLES_H

#include <stdint.h>

extern const uint16_t codebook_grid_iq2_xxs[256];
extern const uint16_t codebook_grid_iq2_xs[512];
extern const uint16_t codebook_grid_iq2_s[1024];
extern const uint16_t codebook_grid_iq3_xxs[256];
extern const uint16_t codebook_grid_iq3_s[512];
extern const uint16_t codebook_grid_iq1_s[2048];

extern const int8_t codebook_levels_iq4[16];
extern const int8_t codebook_levels_e2m1[16]; /* halves */
extern const int8_t codebook_levels_iq3_xxs[16];
extern const int8_t codebook_levels_iq3_s[16];
extern const int8_t codebook_levels_iq2[16];
extern const int8_t codebook_levels_iq1[16]; /* eighths */

/* The same 12, 15 and 9 higher, so that none is negative. */
extern const int8_t codebook_raised_e2m1[16];
extern const int8_t codebook_raised_iq3_s[16];
extern const int8_t codebook_raised_iq1[16];

#endif
