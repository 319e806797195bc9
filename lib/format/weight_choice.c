/* The conventions of llama.cpp's quantizer, without its mixtures of types by layer. */
#include "format/weight_choice.h"

#include <string.h>

static bool contains(struct text name, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= name.length; i++)
        if (memcmp(name.data + i, part, n) == 0) return true;
    return false;
}

static bool is_named(struct text name, const char *text) {
    return name.length == strlen(text) && memcmp(name.data, text, name.length) == 0;
}

/* Matrices, but those that are small and choose or are added: norms, routers, positions. */
static bool is_matrix(const struct tensor *tensor) {
    static const char *const kept[] = {"_norm",       "ffn_gate_inp", "position_embd",
                                       "token_types", "attn_rel_b",   "rope_f"};
    static const char end[] = ".weight";
    struct text name = tensor->name;
    size_t n = sizeof end - 1;
    if (tensor->dims[1] * tensor->dims[2] * tensor->dims[3] <= 1 || name.length < n ||
        memcmp(name.data + name.length - n, end, n) != 0)
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (contains(name, kept[i])) return false;
    return true;
}

/* What is taken where rows aren't whole blocks. */
static enum weight_type smaller_block(enum weight_type type) {
    switch (type) {
    case WEIGHT_Q2_K:
    case WEIGHT_Q3_K:
        return WEIGHT_Q4_0;
    case WEIGHT_Q4_K:
        return WEIGHT_Q5_0;
    case WEIGHT_Q5_K:
        return WEIGHT_Q5_1;
    case WEIGHT_Q6_K:
        return WEIGHT_Q8_0;
    default:
        return WEIGHT_F16;
    }
}

enum weight_type weight_choice(const struct tensor *tensor, enum weight_type wanted, bool tied) {
    if (!is_matrix(tensor)) return tensor->type;
    bool head = is_named(tensor->name, tied ? "token_embd.weight" : "output.weight");
    bool fine = weight_type_traits[wanted].block == 1 || wanted == WEIGHT_Q8_0;
    enum weight_type type = head && !fine ? WEIGHT_Q6_K : wanted;
    while (tensor->dims[0] % weight_type_traits[type].block != 0) type = smaller_block(type);
    return type;
}
