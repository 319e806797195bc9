/* tokenizer_config.json, and added_tokens.json and special_tokens_map.json beside it: what a
 * Hugging Face folder says of its tokenizer apart from its vocabulary. */
#ifndef FORMAT_HF_TOKENIZER_CONFIG_H
#define FORMAT_HF_TOKENIZER_CONFIG_H

#include "base/arena.h"
#include "format/json.h"

struct hf;

struct hf_added_token {
    int64_t id; /* -1: it only has a text */
    struct text text;
    bool special;
};

struct hf_tokenizer_config {
    struct arena *arena; /* what the texts are in */
    const char *file;    /* for messages */
    bool has_file;
    struct { /* length 0: not given, or null */
        struct text class, bos, eos, unknown, separator, padding, classify, mask;
        struct text source_language, target_language, languages;
    } texts;
    struct { /* -1: not given, or null */
        int lowercase, strip_accents, chinese, add_bos, add_eos, prefix_space, separate_vocabs,
            basic, legacy_behaviour;
    } flags;
    int64_t extra_ids;            /* -1: not given */
    struct hf_added_token *added; /* [n_added] a block of the arena's memory */
    size_t n_added, capacity;
};

/* Nothing is wrong with a folder that has none of the files. On failure too it must be freed. */
status hf_tokenizer_config_read(const struct hf *hf, struct arena *arena,
                                struct hf_tokenizer_config *config);
void hf_tokenizer_config_free(struct hf_tokenizer_config *config);

#endif
