/* T5's buckets of distances (arXiv:1910.10683, section 2.1): each of the nearest has one of its
 * own, those behind grow by equal factors up to max_distance, and all beyond share the last. */
#include <math.h>

#include "program/op.h"

/* In floats, as the models were trained: a bound may fall on either side of a distance. */
int64_t relative_bucket(const struct relative_bias_spec *bias, int64_t distance) {
    int64_t n = bias->n_buckets, first = 0, far = distance < 0 ? -distance : 0;
    if (bias->bidirectional) {
        n /= 2;
        if (distance > 0) {
            first = n;
            far = distance;
        }
    }
    int64_t exact = n / 2;
    if (far < exact) return first + far;
    if (far >= bias->max_distance) return first + n - 1;
    float ratio = (float)log((double)((float)far / (float)exact));
    float whole = (float)log((double)bias->max_distance / (double)exact);
    int64_t bucket = exact + (int64_t)(ratio / whole * (float)(n - exact));
    return first + (bucket < n ? bucket : n - 1);
}
