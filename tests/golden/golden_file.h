/* Reads the files that tests/goldens/README.md describes. Each read returns false, with the reason
 * on stderr, if the file isn't there or isn't whole; what it gives is freed with golden_free. */
#ifndef GOLDEN_FILE_H
#define GOLDEN_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct golden_sequence {
    int32_t n_tokens, n_positions, n_vocab;
    const int32_t *tokens;    /* [n_tokens] */
    const int32_t *positions; /* [n_positions], ascending */
    const float *logits;      /* [n_positions][n_vocab] */
};

struct golden_source {
    int32_t n_source, n_tokens, n_vocab, n_greedy, n_beam;
    const int32_t *source; /* [n_source] */
    const int32_t *tokens; /* [n_tokens] */
    const int32_t *greedy; /* [n_greedy] what generate makes, the start token first */
    const int32_t *beam;   /* [n_beam] likewise with four beams */
    const float *logits;   /* [n_tokens][n_vocab] */
};

struct golden_prompt {
    int32_t n_tokens, n_top, n_greedy;
    const int32_t *tokens;   /* [n_tokens] */
    const int32_t *top_ids;  /* [n_top] */
    const float *top_logits; /* [n_top] */
    const int32_t *greedy;   /* [n_greedy] */
    const float *gaps;       /* [n_greedy] */
};

struct golden_distributions {
    int32_t n_tokens, n_positions, k;
    const int32_t *tokens;          /* [n_tokens] */
    const int32_t *positions;       /* [n_positions], ascending */
    const int32_t *ids;             /* [n_positions][k] */
    const float *log_probabilities; /* [n_positions][k] */
};

struct golden {
    void *bytes;
    int32_t count; /* of sequences, prompts or tokens */
    struct golden_sequence *sequences;
    struct golden_source *sources;
    struct golden_prompt *prompts;
    struct golden_distributions distributions;
    const int32_t *tokens;
};

bool golden_read_logits(const char *path, struct golden *golden);
bool golden_read_sources(const char *path, struct golden *golden);
bool golden_read_prompts(const char *path, struct golden *golden);
bool golden_read_distributions(const char *path, struct golden *golden);
bool golden_read_tokens(const char *path, struct golden *golden);
void golden_free(struct golden *golden);

/* The whole file, NUL added; NULL if it can't be read. *size without the NUL. */
char *golden_read_bytes(const char *path, int64_t *size);

#endif
