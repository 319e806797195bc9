/* The rules of options and output structs, in one place. */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include "base/status.h"

/* Sizes of the structs in their first release: never change a number here. */
enum {
    FIRST_device_details = 48,
    FIRST_model_options = 96,
    FIRST_model_details = 160,
    FIRST_tokenize_options = 16,
    FIRST_detokenize_options = 16,
    FIRST_text_stream_options = 16,
    FIRST_context_options = 88,
    FIRST_memory_estimate = 56,
    FIRST_context_statistics = 112,
    FIRST_sampler_options = 72,
    FIRST_sample_options = 16,
    FIRST_sequence_options = 24,
    FIRST_append_options = 24,
    FIRST_source_options = 16,
    FIRST_fork_options = 24,
    FIRST_decode_options = 16,
    FIRST_decode_result = 48,
    FIRST_generate_options = 64,
    FIRST_generate_result = 48,
    FIRST_chat_options = 88,
    FIRST_convert_options = 32,
    FIRST_adapter_options = 24,
    FIRST_grammar_options = 40,
    FIRST_constraint_options = 24
};

/* Most bytes that a struct_size may say. */
#define OPTIONS_MOST_BYTES 4096

/* Fills `ours`, a zeroed struct of our_size, from what the caller gave; NULL gives all defaults. */
status options_read(const char *name, size_t first_size, const void *given, size_t our_size,
                    void *ours);
/* Whether `given`, not NULL, is a struct that output_write may write. */
status options_check_output(const char *name, size_t first_size, const void *given);
/* Writes at most given's struct_size bytes of ours, zeroes the rest, keeps struct_size. */
void options_write(void *given, const void *ours, size_t our_size);
/* DEFAULT, OFF or ON. */
status options_check_mode(const char *name, uint32_t mode);
/* Reserved members must be zero: a later release may give them a meaning. */
status options_check_reserved(const char *name, uint32_t reserved);
/* NULL where a pointer is required. */
status options_require(const char *name, const void *pointer);

#define OPTIONS_READ(type, given, ours) \
    options_read("transformer_" #type, FIRST_##type, given, sizeof *(ours), ours)
#define OPTIONS_CHECK_OUTPUT(type, given) \
    options_check_output("transformer_" #type, FIRST_##type, given)

#endif
