/* The ABI's numbers as they were shipped; made by make_layout.py. */
#include <stddef.h>

#include "transformer.h"

#define PIN(type, member, offset, size)                    \
    _Static_assert(offsetof(type, member) == (offset) &&   \
                       sizeof(((type *)0)->member) == (size), \
                   #type "." #member)
/* Members are appended, so a later release's struct may be larger. */
#define PIN_SIZE(type, size) _Static_assert(sizeof(type) >= (size), #type)
/* Elements of arrays, and what a host fills in without a size: frozen for ever. */
#define PIN_FROZEN(type, size) _Static_assert(sizeof(type) == (size), #type)
#define PIN_VALUE(name, value) _Static_assert((name) == (value), #name)

PIN_SIZE(transformer_device_details, 48);
PIN(transformer_device_details, struct_size, 0, 8);
PIN(transformer_device_details, kind, 8, 8);
PIN(transformer_device_details, name, 16, 8);
PIN(transformer_device_details, path, 24, 8);
PIN(transformer_device_details, memory_bytes, 32, 8);
PIN(transformer_device_details, n_processors, 40, 8);

PIN_FROZEN(transformer_allocator, 24);
PIN(transformer_allocator, allocate, 0, 8);
PIN(transformer_allocator, release, 8, 8);
PIN(transformer_allocator, user, 16, 8);

PIN_FROZEN(transformer_reader, 24);
PIN(transformer_reader, size, 0, 8);
PIN(transformer_reader, read, 8, 8);
PIN(transformer_reader, user, 16, 8);

PIN_FROZEN(transformer_executor, 24);
PIN(transformer_executor, run, 0, 8);
PIN(transformer_executor, user, 8, 8);
PIN(transformer_executor, n_concurrent, 16, 4);
PIN(transformer_executor, reserved, 20, 4);

PIN_SIZE(transformer_model_options, 104);
PIN(transformer_model_options, struct_size, 0, 8);
PIN(transformer_model_options, path, 8, 8);
PIN(transformer_model_options, data, 16, 8);
PIN(transformer_model_options, data_size, 24, 8);
PIN(transformer_model_options, reader, 32, 8);
PIN(transformer_model_options, allocator, 40, 8);
PIN(transformer_model_options, progress, 48, 8);
PIN(transformer_model_options, progress_user, 56, 8);
PIN(transformer_model_options, log, 64, 8);
PIN(transformer_model_options, log_user, 72, 8);
PIN(transformer_model_options, device, 80, 4);
PIN(transformer_model_options, load_mode, 84, 4);
PIN(transformer_model_options, copy, 88, 4);
PIN(transformer_model_options, cpu_amx, 92, 4);
PIN(transformer_model_options, weight_type, 96, 4);
PIN(transformer_model_options, reserved, 100, 4);

PIN_SIZE(transformer_convert_options, 32);
PIN(transformer_convert_options, struct_size, 0, 8);
PIN(transformer_convert_options, model, 8, 8);
PIN(transformer_convert_options, write, 16, 8);
PIN(transformer_convert_options, write_user, 24, 8);

PIN_SIZE(transformer_model_details, 216);
PIN(transformer_model_details, struct_size, 0, 8);
PIN(transformer_model_details, format, 8, 8);
PIN(transformer_model_details, architecture, 16, 8);
PIN(transformer_model_details, name, 24, 8);
PIN(transformer_model_details, weight_types, 32, 8);
PIN(transformer_model_details, end_tokens, 40, 8);
PIN(transformer_model_details, n_end_tokens, 48, 8);
PIN(transformer_model_details, n_vocab, 56, 8);
PIN(transformer_model_details, n_embd, 64, 8);
PIN(transformer_model_details, n_layers, 72, 8);
PIN(transformer_model_details, n_heads, 80, 8);
PIN(transformer_model_details, n_kv_heads, 88, 8);
PIN(transformer_model_details, head_dim, 96, 8);
PIN(transformer_model_details, context_length, 104, 8);
PIN(transformer_model_details, n_parameters, 112, 8);
PIN(transformer_model_details, file_bytes, 120, 8);
PIN(transformer_model_details, weight_bytes, 128, 8);
PIN(transformer_model_details, weight_bytes_per_token, 136, 8);
PIN(transformer_model_details, host_bytes, 144, 8);
PIN(transformer_model_details, has_tokenizer, 152, 4);
PIN(transformer_model_details, device, 156, 4);
PIN(transformer_model_details, n_token_types, 160, 8);
PIN(transformer_model_details, n_labels, 168, 8);
PIN(transformer_model_details, has_logits, 176, 4);
PIN(transformer_model_details, pooling, 180, 4);
PIN(transformer_model_details, pooling_normalize, 184, 4);
PIN(transformer_model_details, reserved, 188, 4);
PIN(transformer_model_details, needs_source, 192, 4);
PIN(transformer_model_details, start_token, 196, 4);
PIN(transformer_model_details, n_source_vocab, 200, 8);
PIN(transformer_model_details, source_context_length, 208, 8);

PIN_SIZE(transformer_tokenize_options, 40);
PIN(transformer_tokenize_options, struct_size, 0, 8);
PIN(transformer_tokenize_options, add_special, 8, 4);
PIN(transformer_tokenize_options, parse_special, 12, 4);
PIN(transformer_tokenize_options, second, 16, 8);
PIN(transformer_tokenize_options, second_length, 24, 8);
PIN(transformer_tokenize_options, types, 32, 8);

PIN_SIZE(transformer_detokenize_options, 16);
PIN(transformer_detokenize_options, struct_size, 0, 8);
PIN(transformer_detokenize_options, special, 8, 4);
PIN(transformer_detokenize_options, reserved, 12, 4);

PIN_SIZE(transformer_text_stream_options, 32);
PIN(transformer_text_stream_options, struct_size, 0, 8);
PIN(transformer_text_stream_options, special, 8, 4);
PIN(transformer_text_stream_options, reserved, 12, 4);
PIN(transformer_text_stream_options, stop, 16, 8);
PIN(transformer_text_stream_options, n_stop, 24, 8);

PIN_SIZE(transformer_context_options, 112);
PIN(transformer_context_options, struct_size, 0, 8);
PIN(transformer_context_options, max_sequence_tokens, 8, 8);
PIN(transformer_context_options, kv_tokens, 16, 8);
PIN(transformer_context_options, max_sequences, 24, 8);
PIN(transformer_context_options, max_step_tokens, 32, 8);
PIN(transformer_context_options, max_logit_rows, 40, 8);
PIN(transformer_context_options, allocator, 48, 8);
PIN(transformer_context_options, executor, 56, 8);
PIN(transformer_context_options, log, 64, 8);
PIN(transformer_context_options, log_user, 72, 8);
PIN(transformer_context_options, n_threads, 80, 4);
PIN(transformer_context_options, kv_type, 84, 4);
PIN(transformer_context_options, pooling, 88, 4);
PIN(transformer_context_options, pooling_normalize, 92, 4);
PIN(transformer_context_options, max_source_tokens, 96, 8);
PIN(transformer_context_options, prefix_cache, 104, 4);
PIN(transformer_context_options, preemption, 108, 4);

PIN_SIZE(transformer_memory_estimate, 64);
PIN(transformer_memory_estimate, struct_size, 0, 8);
PIN(transformer_memory_estimate, model_host_bytes, 8, 8);
PIN(transformer_memory_estimate, model_mapped_bytes, 16, 8);
PIN(transformer_memory_estimate, context_host_bytes, 24, 8);
PIN(transformer_memory_estimate, context_kv_bytes, 32, 8);
PIN(transformer_memory_estimate, sequence_host_bytes, 40, 8);
PIN(transformer_memory_estimate, device_bytes, 48, 8);
PIN(transformer_memory_estimate, source_host_bytes, 56, 8);

PIN_SIZE(transformer_context_statistics, 200);
PIN(transformer_context_statistics, struct_size, 0, 8);
PIN(transformer_context_statistics, host_bytes, 8, 8);
PIN(transformer_context_statistics, kv_bytes, 16, 8);
PIN(transformer_context_statistics, kv_pages, 24, 8);
PIN(transformer_context_statistics, kv_pages_free, 32, 8);
PIN(transformer_context_statistics, kv_page_tokens, 40, 8);
PIN(transformer_context_statistics, n_sequences, 48, 8);
PIN(transformer_context_statistics, pending_tokens, 56, 8);
PIN(transformer_context_statistics, steps, 64, 8);
PIN(transformer_context_statistics, rows, 72, 8);
PIN(transformer_context_statistics, n_threads, 80, 8);
PIN(transformer_context_statistics, max_sequence_tokens, 88, 8);
PIN(transformer_context_statistics, max_step_tokens, 96, 8);
PIN(transformer_context_statistics, max_logit_rows, 104, 8);
PIN(transformer_context_statistics, max_source_tokens, 112, 8);
PIN(transformer_context_statistics, kv_pages_cached, 120, 8);
PIN(transformer_context_statistics, prefix_lookups, 128, 8);
PIN(transformer_context_statistics, prefix_hit_tokens, 136, 8);
PIN(transformer_context_statistics, prefix_evicted_pages, 144, 8);
PIN(transformer_context_statistics, n_preempted, 152, 8);
PIN(transformer_context_statistics, step_nanoseconds, 160, 8);
PIN(transformer_context_statistics, step_nanoseconds_median, 168, 8);
PIN(transformer_context_statistics, step_nanoseconds_p99, 176, 8);
PIN(transformer_context_statistics, n_proposed, 184, 8);
PIN(transformer_context_statistics, n_accepted, 192, 8);

PIN_FROZEN(transformer_logit_bias, 8);
PIN(transformer_logit_bias, token, 0, 4);
PIN(transformer_logit_bias, bias, 4, 4);

PIN_SIZE(transformer_sampler_options, 72);
PIN(transformer_sampler_options, struct_size, 0, 8);
PIN(transformer_sampler_options, seed, 8, 8);
PIN(transformer_sampler_options, logit_bias, 16, 8);
PIN(transformer_sampler_options, n_logit_bias, 24, 8);
PIN(transformer_sampler_options, penalty_window, 32, 8);
PIN(transformer_sampler_options, repetition_penalty, 40, 4);
PIN(transformer_sampler_options, frequency_penalty, 44, 4);
PIN(transformer_sampler_options, presence_penalty, 48, 4);
PIN(transformer_sampler_options, temperature, 52, 4);
PIN(transformer_sampler_options, top_k, 56, 4);
PIN(transformer_sampler_options, top_p, 60, 4);
PIN(transformer_sampler_options, min_p, 64, 4);
PIN(transformer_sampler_options, reserved, 68, 4);

PIN_SIZE(transformer_sample_options, 16);
PIN(transformer_sample_options, struct_size, 0, 8);
PIN(transformer_sample_options, append, 8, 4);
PIN(transformer_sample_options, reserved, 12, 4);

PIN_SIZE(transformer_adapter_options, 24);
PIN(transformer_adapter_options, struct_size, 0, 8);
PIN(transformer_adapter_options, path, 8, 8);
PIN(transformer_adapter_options, reader, 16, 8);

PIN_SIZE(transformer_sequence_options, 56);
PIN(transformer_sequence_options, struct_size, 0, 8);
PIN(transformer_sequence_options, sampler, 8, 8);
PIN(transformer_sequence_options, stream, 16, 8);
PIN(transformer_sequence_options, adapter, 24, 8);
PIN(transformer_sequence_options, adapter_scale, 32, 4);
PIN(transformer_sequence_options, reserved, 36, 4);
PIN(transformer_sequence_options, cache_domain, 40, 8);
PIN(transformer_sequence_options, priority, 48, 4);
PIN(transformer_sequence_options, lookup_tokens, 52, 4);

PIN_SIZE(transformer_append_options, 24);
PIN(transformer_append_options, struct_size, 0, 8);
PIN(transformer_append_options, keep, 8, 8);
PIN(transformer_append_options, logits, 16, 4);
PIN(transformer_append_options, token_type, 20, 4);

PIN_SIZE(transformer_source_options, 16);
PIN(transformer_source_options, struct_size, 0, 8);
PIN(transformer_source_options, reserved, 8, 8);

PIN_SIZE(transformer_fork_options, 24);
PIN(transformer_fork_options, struct_size, 0, 8);
PIN(transformer_fork_options, sampler, 8, 8);
PIN(transformer_fork_options, stream, 16, 8);

PIN_SIZE(transformer_decode_options, 16);
PIN(transformer_decode_options, struct_size, 0, 8);
PIN(transformer_decode_options, max_tokens, 8, 8);

PIN_SIZE(transformer_decode_result, 72);
PIN(transformer_decode_result, struct_size, 0, 8);
PIN(transformer_decode_result, n_rows, 8, 8);
PIN(transformer_decode_result, n_ready, 16, 8);
PIN(transformer_decode_result, n_pending, 24, 8);
PIN(transformer_decode_result, n_refused, 32, 8);
PIN(transformer_decode_result, n_sampled, 40, 8);
PIN(transformer_decode_result, n_preempted, 48, 8);
PIN(transformer_decode_result, n_proposed, 56, 8);
PIN(transformer_decode_result, n_accepted, 64, 8);

PIN_FROZEN(transformer_token_probability, 8);
PIN(transformer_token_probability, token, 0, 4);
PIN(transformer_token_probability, log_probability, 4, 4);

PIN_SIZE(transformer_grammar_options, 40);
PIN(transformer_grammar_options, struct_size, 0, 8);
PIN(transformer_grammar_options, json_schema, 8, 8);
PIN(transformer_grammar_options, regex, 16, 8);
PIN(transformer_grammar_options, ebnf, 24, 8);
PIN(transformer_grammar_options, whitespace, 32, 4);
PIN(transformer_grammar_options, reserved, 36, 4);

PIN_SIZE(transformer_constraint_options, 24);
PIN(transformer_constraint_options, struct_size, 0, 8);
PIN(transformer_constraint_options, max_tokens, 8, 8);
PIN(transformer_constraint_options, close, 16, 4);
PIN(transformer_constraint_options, reserved, 20, 4);

PIN_SIZE(transformer_generate_options, 128);
PIN(transformer_generate_options, struct_size, 0, 8);
PIN(transformer_generate_options, prompt, 8, 8);
PIN(transformer_generate_options, prompt_length, 16, 8);
PIN(transformer_generate_options, tokens, 24, 8);
PIN(transformer_generate_options, n_tokens, 32, 8);
PIN(transformer_generate_options, sampler, 40, 8);
PIN(transformer_generate_options, max_tokens, 48, 8);
PIN(transformer_generate_options, add_special, 56, 4);
PIN(transformer_generate_options, parse_special, 60, 4);
PIN(transformer_generate_options, answer, 64, 8);
PIN(transformer_generate_options, n_answer, 72, 8);
PIN(transformer_generate_options, stop, 80, 8);
PIN(transformer_generate_options, n_stop, 88, 8);
PIN(transformer_generate_options, lookup_tokens, 96, 4);
PIN(transformer_generate_options, reserved, 100, 4);
PIN(transformer_generate_options, draft, 104, 8);
PIN(transformer_generate_options, grammar, 112, 8);
PIN(transformer_generate_options, constraint, 120, 8);

PIN_SIZE(transformer_generate_result, 48);
PIN(transformer_generate_result, struct_size, 0, 8);
PIN(transformer_generate_result, n_prompt_tokens, 8, 8);
PIN(transformer_generate_result, n_generated_tokens, 16, 8);
PIN(transformer_generate_result, prompt_nanoseconds, 24, 8);
PIN(transformer_generate_result, generate_nanoseconds, 32, 8);
PIN(transformer_generate_result, finish_reason, 40, 4);
PIN(transformer_generate_result, reserved, 44, 4);

PIN_FROZEN(transformer_chat_message, 16);
PIN(transformer_chat_message, role, 0, 8);
PIN(transformer_chat_message, content, 8, 8);

PIN_SIZE(transformer_chat_options, 88);
PIN(transformer_chat_options, struct_size, 0, 8);
PIN(transformer_chat_options, messages, 8, 8);
PIN(transformer_chat_options, n_messages, 16, 8);
PIN(transformer_chat_options, messages_json, 24, 8);
PIN(transformer_chat_options, tools_json, 32, 8);
PIN(transformer_chat_options, documents_json, 40, 8);
PIN(transformer_chat_options, variables_json, 48, 8);
PIN(transformer_chat_options, template_name, 56, 8);
PIN(transformer_chat_options, template_text, 64, 8);
PIN(transformer_chat_options, local_time, 72, 8);
PIN(transformer_chat_options, add_generation_prompt, 80, 4);
PIN(transformer_chat_options, reserved, 84, 4);

PIN_VALUE(TRANSFORMER_OK, 0);
PIN_VALUE(TRANSFORMER_INVALID_ARGUMENT, 1);
PIN_VALUE(TRANSFORMER_OUT_OF_MEMORY, 2);
PIN_VALUE(TRANSFORMER_IO, 3);
PIN_VALUE(TRANSFORMER_FORMAT, 4);
PIN_VALUE(TRANSFORMER_UNSUPPORTED, 5);
PIN_VALUE(TRANSFORMER_LIMIT, 6);
PIN_VALUE(TRANSFORMER_CANCELLED, 7);
PIN_VALUE(TRANSFORMER_DEVICE, 8);
PIN_VALUE(TRANSFORMER_NOT_FOUND, 9);
PIN_VALUE(TRANSFORMER_BUFFER_TOO_SMALL, 10);
PIN_VALUE(TRANSFORMER_STATE, 11);
PIN_VALUE(TRANSFORMER_BUSY, 12);
PIN_VALUE(TRANSFORMER_INTERNAL, 13);
PIN_VALUE(TRANSFORMER_DEFAULT, 0);
PIN_VALUE(TRANSFORMER_OFF, 1);
PIN_VALUE(TRANSFORMER_ON, 2);
PIN_VALUE(TRANSFORMER_LOG_ERROR, 1);
PIN_VALUE(TRANSFORMER_LOG_WARNING, 2);
PIN_VALUE(TRANSFORMER_LOG_INFO, 3);
PIN_VALUE(TRANSFORMER_LOAD_MAP, 0);
PIN_VALUE(TRANSFORMER_LOAD_READ, 1);
PIN_VALUE(TRANSFORMER_WEIGHTS_AS_IS, 0);
PIN_VALUE(TRANSFORMER_WEIGHTS_F32, 1);
PIN_VALUE(TRANSFORMER_WEIGHTS_F16, 2);
PIN_VALUE(TRANSFORMER_WEIGHTS_BF16, 3);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q4_0, 4);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q4_1, 5);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q5_0, 6);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q5_1, 7);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q8_0, 8);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q2_K, 9);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q3_K, 10);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q4_K, 11);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q5_K, 12);
PIN_VALUE(TRANSFORMER_WEIGHTS_Q6_K, 13);
PIN_VALUE(TRANSFORMER_TOKEN_BEGIN, 1);
PIN_VALUE(TRANSFORMER_TOKEN_END, 2);
PIN_VALUE(TRANSFORMER_TOKEN_END_OF_TURN, 3);
PIN_VALUE(TRANSFORMER_TOKEN_UNKNOWN, 4);
PIN_VALUE(TRANSFORMER_TOKEN_SEPARATOR, 5);
PIN_VALUE(TRANSFORMER_TOKEN_PADDING, 6);
PIN_VALUE(TRANSFORMER_TOKEN_CLASSIFY, 7);
PIN_VALUE(TRANSFORMER_TOKEN_MASK, 8);
PIN_VALUE(TRANSFORMER_TOKEN_START, 9);
PIN_VALUE(TRANSFORMER_KV_DEFAULT, 0);
PIN_VALUE(TRANSFORMER_KV_F32, 1);
PIN_VALUE(TRANSFORMER_KV_F16, 2);
PIN_VALUE(TRANSFORMER_KV_BF16, 3);
PIN_VALUE(TRANSFORMER_KV_Q8_0, 4);
PIN_VALUE(TRANSFORMER_POOLING_DEFAULT, 0);
PIN_VALUE(TRANSFORMER_POOLING_NONE, 1);
PIN_VALUE(TRANSFORMER_POOLING_MEAN, 2);
PIN_VALUE(TRANSFORMER_POOLING_FIRST, 3);
PIN_VALUE(TRANSFORMER_POOLING_LAST, 4);
PIN_VALUE(TRANSFORMER_LOGITS_LAST, 0);
PIN_VALUE(TRANSFORMER_LOGITS_NONE, 1);
PIN_VALUE(TRANSFORMER_LOGITS_ALL, 2);
PIN_VALUE(TRANSFORMER_MATCH_NONE, 0);
PIN_VALUE(TRANSFORMER_MATCH_PREFIX, 1);
PIN_VALUE(TRANSFORMER_MATCH_WHOLE, 2);
PIN_VALUE(TRANSFORMER_FINISH_END, 1);
PIN_VALUE(TRANSFORMER_FINISH_LENGTH, 2);
PIN_VALUE(TRANSFORMER_FINISH_CONTEXT, 3);
PIN_VALUE(TRANSFORMER_FINISH_STOPPED, 4);
PIN_VALUE(TRANSFORMER_FINISH_STOP_STRING, 5);
