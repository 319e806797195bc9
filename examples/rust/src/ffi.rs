//! The declarations of transformer.h; made by make_ffi.py. What they mean is told there.
#![allow(non_camel_case_types)]
#![cfg_attr(rustfmt, rustfmt_skip)]

use std::ffi::c_void;
use std::os::raw::c_char;

pub const TRANSFORMER_OK: i32 = 0;
pub const TRANSFORMER_INVALID_ARGUMENT: i32 = 1;
pub const TRANSFORMER_OUT_OF_MEMORY: i32 = 2;
pub const TRANSFORMER_IO: i32 = 3;
pub const TRANSFORMER_FORMAT: i32 = 4;
pub const TRANSFORMER_UNSUPPORTED: i32 = 5;
pub const TRANSFORMER_LIMIT: i32 = 6;
pub const TRANSFORMER_CANCELLED: i32 = 7;
pub const TRANSFORMER_DEVICE: i32 = 8;
pub const TRANSFORMER_NOT_FOUND: i32 = 9;
pub const TRANSFORMER_BUFFER_TOO_SMALL: i32 = 10;
pub const TRANSFORMER_STATE: i32 = 11;
pub const TRANSFORMER_BUSY: i32 = 12;
pub const TRANSFORMER_INTERNAL: i32 = 13;
pub const TRANSFORMER_DEFAULT: u32 = 0;
pub const TRANSFORMER_OFF: u32 = 1;
pub const TRANSFORMER_ON: u32 = 2;
pub const TRANSFORMER_LOG_ERROR: i32 = 1;
pub const TRANSFORMER_LOG_WARNING: i32 = 2;
pub const TRANSFORMER_LOG_INFO: i32 = 3;
pub const TRANSFORMER_LOAD_MAP: u32 = 0;
pub const TRANSFORMER_LOAD_READ: u32 = 1;
pub const TRANSFORMER_WEIGHTS_AS_IS: u32 = 0;
pub const TRANSFORMER_WEIGHTS_F32: u32 = 1;
pub const TRANSFORMER_WEIGHTS_F16: u32 = 2;
pub const TRANSFORMER_WEIGHTS_BF16: u32 = 3;
pub const TRANSFORMER_WEIGHTS_Q4_0: u32 = 4;
pub const TRANSFORMER_WEIGHTS_Q4_1: u32 = 5;
pub const TRANSFORMER_WEIGHTS_Q5_0: u32 = 6;
pub const TRANSFORMER_WEIGHTS_Q5_1: u32 = 7;
pub const TRANSFORMER_WEIGHTS_Q8_0: u32 = 8;
pub const TRANSFORMER_WEIGHTS_Q2_K: u32 = 9;
pub const TRANSFORMER_WEIGHTS_Q3_K: u32 = 10;
pub const TRANSFORMER_WEIGHTS_Q4_K: u32 = 11;
pub const TRANSFORMER_WEIGHTS_Q5_K: u32 = 12;
pub const TRANSFORMER_WEIGHTS_Q6_K: u32 = 13;
pub const TRANSFORMER_TOKEN_BEGIN: i32 = 1;
pub const TRANSFORMER_TOKEN_END: i32 = 2;
pub const TRANSFORMER_TOKEN_END_OF_TURN: i32 = 3;
pub const TRANSFORMER_TOKEN_UNKNOWN: i32 = 4;
pub const TRANSFORMER_TOKEN_SEPARATOR: i32 = 5;
pub const TRANSFORMER_TOKEN_PADDING: i32 = 6;
pub const TRANSFORMER_TOKEN_CLASSIFY: i32 = 7;
pub const TRANSFORMER_TOKEN_MASK: i32 = 8;
pub const TRANSFORMER_TOKEN_START: i32 = 9;
pub const TRANSFORMER_KV_DEFAULT: u32 = 0;
pub const TRANSFORMER_KV_F32: u32 = 1;
pub const TRANSFORMER_KV_F16: u32 = 2;
pub const TRANSFORMER_KV_BF16: u32 = 3;
pub const TRANSFORMER_KV_Q8_0: u32 = 4;
pub const TRANSFORMER_POOLING_DEFAULT: u32 = 0;
pub const TRANSFORMER_POOLING_NONE: u32 = 1;
pub const TRANSFORMER_POOLING_MEAN: u32 = 2;
pub const TRANSFORMER_POOLING_FIRST: u32 = 3;
pub const TRANSFORMER_POOLING_LAST: u32 = 4;
pub const TRANSFORMER_LOGITS_LAST: u32 = 0;
pub const TRANSFORMER_LOGITS_NONE: u32 = 1;
pub const TRANSFORMER_LOGITS_ALL: u32 = 2;
pub const TRANSFORMER_MATCH_NONE: i32 = 0;
pub const TRANSFORMER_MATCH_PREFIX: i32 = 1;
pub const TRANSFORMER_MATCH_WHOLE: i32 = 2;
pub const TRANSFORMER_FINISH_END: i32 = 1;
pub const TRANSFORMER_FINISH_LENGTH: i32 = 2;
pub const TRANSFORMER_FINISH_CONTEXT: i32 = 3;
pub const TRANSFORMER_FINISH_STOPPED: i32 = 4;

#[repr(C)]
pub struct transformer_model {
    _private: [u8; 0],
}

#[repr(C)]
pub struct transformer_context {
    _private: [u8; 0],
}

#[repr(C)]
pub struct transformer_sequence {
    _private: [u8; 0],
}

#[repr(C)]
pub struct transformer_sampler {
    _private: [u8; 0],
}

#[repr(C)]
pub struct transformer_text_stream {
    _private: [u8; 0],
}

#[repr(C)]
pub struct transformer_adapter {
    _private: [u8; 0],
}

#[repr(C)]
pub struct transformer_grammar {
    _private: [u8; 0],
}

pub type transformer_log_function =
    Option<unsafe extern "C" fn(*mut c_void, i32, *const c_char)>;

pub type transformer_progress_function =
    Option<unsafe extern "C" fn(*mut c_void, u64, u64) -> i32>;

pub type transformer_text_function =
    Option<unsafe extern "C" fn(*mut c_void, *const c_char, u64) -> i32>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_device_details {
    pub struct_size: u64,
    pub kind: *const c_char,
    pub name: *const c_char,
    pub path: *const c_char,
    pub memory_bytes: u64,
    pub n_processors: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_allocator {
    pub allocate: Option<unsafe extern "C" fn(*mut c_void, u64, u64) -> *mut c_void>,
    pub release: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u64)>,
    pub user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_reader {
    pub size: Option<unsafe extern "C" fn(*mut c_void, *const c_char) -> i64>,
    pub read: Option<unsafe extern "C" fn(*mut c_void, *const c_char, u64, *mut c_void, u64) -> i64>,
    pub user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_executor {
    pub run: Option<unsafe extern "C" fn(*mut c_void, i32, Option<unsafe extern "C" fn(*mut c_void, i32)>, *mut c_void)>,
    pub user: *mut c_void,
    pub n_concurrent: i32,
    pub reserved: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_model_options {
    pub struct_size: u64,
    pub path: *const c_char,
    pub data: *const c_void,
    pub data_size: u64,
    pub reader: *const transformer_reader,
    pub allocator: *const transformer_allocator,
    pub progress: transformer_progress_function,
    pub progress_user: *mut c_void,
    pub log: transformer_log_function,
    pub log_user: *mut c_void,
    pub device: i32,
    pub load_mode: u32,
    pub copy: u32,
    pub cpu_amx: u32,
    pub weight_type: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_convert_options {
    pub struct_size: u64,
    pub model: *const transformer_model_options,
    pub write: Option<unsafe extern "C" fn(*mut c_void, *const c_void, u64) -> i32>,
    pub write_user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_model_details {
    pub struct_size: u64,
    pub format: *const c_char,
    pub architecture: *const c_char,
    pub name: *const c_char,
    pub weight_types: *const c_char,
    pub end_tokens: *const i32,
    pub n_end_tokens: i64,
    pub n_vocab: i64,
    pub n_embd: i64,
    pub n_layers: i64,
    pub n_heads: i64,
    pub n_kv_heads: i64,
    pub head_dim: i64,
    pub context_length: i64,
    pub n_parameters: i64,
    pub file_bytes: u64,
    pub weight_bytes: u64,
    pub weight_bytes_per_token: u64,
    pub host_bytes: u64,
    pub has_tokenizer: u32,
    pub device: i32,
    pub n_token_types: i64,
    pub n_labels: i64,
    pub has_logits: u32,
    pub pooling: u32,
    pub pooling_normalize: u32,
    pub reserved: u32,
    pub needs_source: u32,
    pub start_token: i32,
    pub n_source_vocab: i64,
    pub source_context_length: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_tokenize_options {
    pub struct_size: u64,
    pub add_special: u32,
    pub parse_special: u32,
    pub second: *const c_char,
    pub second_length: i64,
    pub types: *mut i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_detokenize_options {
    pub struct_size: u64,
    pub special: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_text_stream_options {
    pub struct_size: u64,
    pub special: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_context_options {
    pub struct_size: u64,
    pub max_sequence_tokens: i64,
    pub kv_tokens: i64,
    pub max_sequences: i64,
    pub max_step_tokens: i64,
    pub max_logit_rows: i64,
    pub allocator: *const transformer_allocator,
    pub executor: *const transformer_executor,
    pub log: transformer_log_function,
    pub log_user: *mut c_void,
    pub n_threads: i32,
    pub kv_type: u32,
    pub pooling: u32,
    pub pooling_normalize: u32,
    pub max_source_tokens: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_memory_estimate {
    pub struct_size: u64,
    pub model_host_bytes: u64,
    pub model_mapped_bytes: u64,
    pub context_host_bytes: u64,
    pub context_kv_bytes: u64,
    pub sequence_host_bytes: u64,
    pub device_bytes: u64,
    pub source_host_bytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_context_statistics {
    pub struct_size: u64,
    pub host_bytes: u64,
    pub kv_bytes: u64,
    pub kv_pages: i64,
    pub kv_pages_free: i64,
    pub kv_page_tokens: i64,
    pub n_sequences: i64,
    pub pending_tokens: i64,
    pub steps: u64,
    pub rows: u64,
    pub n_threads: i64,
    pub max_sequence_tokens: i64,
    pub max_step_tokens: i64,
    pub max_logit_rows: i64,
    pub max_source_tokens: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_logit_bias {
    pub token: i32,
    pub bias: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_sampler_options {
    pub struct_size: u64,
    pub seed: u64,
    pub logit_bias: *const transformer_logit_bias,
    pub n_logit_bias: i64,
    pub penalty_window: i64,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub min_p: f32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_sample_options {
    pub struct_size: u64,
    pub append: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_adapter_options {
    pub struct_size: u64,
    pub path: *const c_char,
    pub reader: *const transformer_reader,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_sequence_options {
    pub struct_size: u64,
    pub sampler: *mut transformer_sampler,
    pub stream: u64,
    pub adapter: *mut transformer_adapter,
    pub adapter_scale: f32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_append_options {
    pub struct_size: u64,
    pub keep: *const u8,
    pub logits: u32,
    pub token_type: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_source_options {
    pub struct_size: u64,
    pub reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_fork_options {
    pub struct_size: u64,
    pub sampler: *mut transformer_sampler,
    pub stream: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_decode_options {
    pub struct_size: u64,
    pub max_tokens: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_decode_result {
    pub struct_size: u64,
    pub n_rows: i64,
    pub n_ready: i64,
    pub n_pending: i64,
    pub n_refused: i64,
    pub n_sampled: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_grammar_options {
    pub struct_size: u64,
    pub json_schema: *const c_char,
    pub regex: *const c_char,
    pub ebnf: *const c_char,
    pub whitespace: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_constraint_options {
    pub struct_size: u64,
    pub max_tokens: i64,
    pub close: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_generate_options {
    pub struct_size: u64,
    pub prompt: *const c_char,
    pub prompt_length: i64,
    pub tokens: *const i32,
    pub n_tokens: i64,
    pub sampler: *const transformer_sampler_options,
    pub max_tokens: i64,
    pub add_special: u32,
    pub parse_special: u32,
    pub answer: *const i32,
    pub n_answer: i64,
    pub grammar: *mut transformer_grammar,
    pub constraint: *const transformer_constraint_options,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_generate_result {
    pub struct_size: u64,
    pub n_prompt_tokens: i64,
    pub n_generated_tokens: i64,
    pub prompt_nanoseconds: u64,
    pub generate_nanoseconds: u64,
    pub finish_reason: i32,
    pub reserved: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_chat_message {
    pub role: *const c_char,
    pub content: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct transformer_chat_options {
    pub struct_size: u64,
    pub messages: *const transformer_chat_message,
    pub n_messages: i64,
    pub messages_json: *const c_char,
    pub tools_json: *const c_char,
    pub documents_json: *const c_char,
    pub variables_json: *const c_char,
    pub template_name: *const c_char,
    pub template_text: *const c_char,
    pub local_time: i64,
    pub add_generation_prompt: u32,
    pub reserved: u32,
}

extern "C" {
    pub fn transformer_status_name(
        status: i32,
    ) -> *const c_char;
    pub fn transformer_last_error() -> *const c_char;
    pub fn transformer_version() -> u32;
    pub fn transformer_version_string() -> *const c_char;
    pub fn transformer_build_info() -> *const c_char;
    pub fn transformer_device_count() -> i32;
    pub fn transformer_device_info(
        device: i32,
        details: *mut transformer_device_details,
    ) -> i32;
    pub fn transformer_model_open(
        options: *const transformer_model_options,
        model: *mut *mut transformer_model,
    ) -> i32;
    pub fn transformer_model_convert(
        options: *const transformer_convert_options,
    ) -> i32;
    pub fn transformer_model_info(
        model: *const transformer_model,
        details: *mut transformer_model_details,
    ) -> i32;
    pub fn transformer_model_metadata(
        model: *const transformer_model,
        key: *const c_char,
        buffer: *mut c_char,
        capacity: i64,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_model_retain(
        model: *mut transformer_model,
    ) -> *mut transformer_model;
    pub fn transformer_model_close(
        model: *mut transformer_model,
    );
    pub fn transformer_tokenize(
        model: *const transformer_model,
        text: *const c_char,
        length: i64,
        options: *const transformer_tokenize_options,
        tokens: *mut i32,
        capacity: i64,
        count: *mut i64,
    ) -> i32;
    pub fn transformer_detokenize(
        model: *const transformer_model,
        tokens: *const i32,
        count: i64,
        options: *const transformer_detokenize_options,
        buffer: *mut c_char,
        capacity: i64,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_token_text(
        model: *const transformer_model,
        token: i32,
        buffer: *mut c_char,
        capacity: i64,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_special_token(
        model: *const transformer_model,
        kind: i32,
        token: *mut i32,
    ) -> i32;
    pub fn transformer_text_stream_create(
        model: *mut transformer_model,
        options: *const transformer_text_stream_options,
        stream: *mut *mut transformer_text_stream,
    ) -> i32;
    pub fn transformer_text_stream_push(
        stream: *mut transformer_text_stream,
        token: i32,
        text: *mut *const c_char,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_text_stream_finish(
        stream: *mut transformer_text_stream,
        text: *mut *const c_char,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_text_stream_destroy(
        stream: *mut transformer_text_stream,
    );
    pub fn transformer_model_estimate(
        model_options: *const transformer_model_options,
        context_options: *const transformer_context_options,
        estimate: *mut transformer_memory_estimate,
    ) -> i32;
    pub fn transformer_context_create(
        model: *mut transformer_model,
        options: *const transformer_context_options,
        context: *mut *mut transformer_context,
    ) -> i32;
    pub fn transformer_context_destroy(
        context: *mut transformer_context,
    );
    pub fn transformer_context_cancel(
        context: *mut transformer_context,
    );
    pub fn transformer_context_stats(
        context: *mut transformer_context,
        statistics: *mut transformer_context_statistics,
    ) -> i32;
    pub fn transformer_sampler_create(
        model: *mut transformer_model,
        options: *const transformer_sampler_options,
        sampler: *mut *mut transformer_sampler,
    ) -> i32;
    pub fn transformer_sampler_clone(
        sampler: *const transformer_sampler,
        clone: *mut *mut transformer_sampler,
    ) -> i32;
    pub fn transformer_sampler_destroy(
        sampler: *mut transformer_sampler,
    );
    pub fn transformer_sampler_sample(
        sampler: *mut transformer_sampler,
        sequence: *mut transformer_sequence,
        options: *const transformer_sample_options,
        token: *mut i32,
    ) -> i32;
    pub fn transformer_adapter_open(
        model: *mut transformer_model,
        options: *const transformer_adapter_options,
        adapter: *mut *mut transformer_adapter,
    ) -> i32;
    pub fn transformer_adapter_close(
        adapter: *mut transformer_adapter,
    );
    pub fn transformer_sequence_create(
        context: *mut transformer_context,
        options: *const transformer_sequence_options,
        sequence: *mut *mut transformer_sequence,
    ) -> i32;
    pub fn transformer_sequence_destroy(
        sequence: *mut transformer_sequence,
    );
    pub fn transformer_sequence_append(
        sequence: *mut transformer_sequence,
        tokens: *const i32,
        count: i64,
        options: *const transformer_append_options,
    ) -> i32;
    pub fn transformer_sequence_set_source(
        sequence: *mut transformer_sequence,
        tokens: *const i32,
        n: i64,
        options: *const transformer_source_options,
    ) -> i32;
    pub fn transformer_sequence_fork(
        sequence: *mut transformer_sequence,
        options: *const transformer_fork_options,
        fork: *mut *mut transformer_sequence,
    ) -> i32;
    pub fn transformer_sequence_truncate(
        sequence: *mut transformer_sequence,
        n: i64,
    ) -> i32;
    pub fn transformer_sequence_tokens(
        sequence: *mut transformer_sequence,
        tokens: *mut i32,
        capacity: i64,
        count: *mut i64,
        n_computed: *mut i64,
    ) -> i32;
    pub fn transformer_decode(
        context: *mut transformer_context,
        options: *const transformer_decode_options,
        result: *mut transformer_decode_result,
    ) -> i32;
    pub fn transformer_sequence_logits(
        sequence: *mut transformer_sequence,
        position: i64,
        row: *mut *const f32,
        count: *mut i64,
    ) -> i32;
    pub fn transformer_sequence_embedding(
        sequence: *mut transformer_sequence,
        position: i64,
        row: *mut *const f32,
        count: *mut i64,
    ) -> i32;
    pub fn transformer_sequence_pooled(
        sequence: *mut transformer_sequence,
        vector: *mut *const f32,
        count: *mut i64,
    ) -> i32;
    pub fn transformer_sequence_score(
        sequence: *mut transformer_sequence,
        score: *mut *const f32,
        count: *mut i64,
    ) -> i32;
    pub fn transformer_grammar_create(
        model: *mut transformer_model,
        options: *const transformer_grammar_options,
        grammar: *mut *mut transformer_grammar,
    ) -> i32;
    pub fn transformer_grammar_destroy(
        grammar: *mut transformer_grammar,
    );
    pub fn transformer_grammar_match(
        grammar: *const transformer_grammar,
        text: *const c_char,
        length: i64,
        r#match: *mut i32,
    ) -> i32;
    pub fn transformer_sequence_constrain(
        sequence: *mut transformer_sequence,
        grammar: *mut transformer_grammar,
        options: *const transformer_constraint_options,
    ) -> i32;
    pub fn transformer_generate(
        context: *mut transformer_context,
        options: *const transformer_generate_options,
        on_text: transformer_text_function,
        user: *mut c_void,
        result: *mut transformer_generate_result,
    ) -> i32;
    pub fn transformer_chat_format(
        model: *const transformer_model,
        options: *const transformer_chat_options,
        buffer: *mut c_char,
        capacity: i64,
        length: *mut i64,
    ) -> i32;
}

const _: () = assert!(std::mem::size_of::<transformer_device_details>() == 48);
const _: () = assert!(std::mem::size_of::<transformer_allocator>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_reader>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_executor>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_model_options>() == 104);
const _: () = assert!(std::mem::size_of::<transformer_convert_options>() == 32);
const _: () = assert!(std::mem::size_of::<transformer_model_details>() == 216);
const _: () = assert!(std::mem::size_of::<transformer_tokenize_options>() == 40);
const _: () = assert!(std::mem::size_of::<transformer_detokenize_options>() == 16);
const _: () = assert!(std::mem::size_of::<transformer_text_stream_options>() == 16);
const _: () = assert!(std::mem::size_of::<transformer_context_options>() == 104);
const _: () = assert!(std::mem::size_of::<transformer_memory_estimate>() == 64);
const _: () = assert!(std::mem::size_of::<transformer_context_statistics>() == 120);
const _: () = assert!(std::mem::size_of::<transformer_logit_bias>() == 8);
const _: () = assert!(std::mem::size_of::<transformer_sampler_options>() == 72);
const _: () = assert!(std::mem::size_of::<transformer_sample_options>() == 16);
const _: () = assert!(std::mem::size_of::<transformer_adapter_options>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_sequence_options>() == 40);
const _: () = assert!(std::mem::size_of::<transformer_append_options>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_source_options>() == 16);
const _: () = assert!(std::mem::size_of::<transformer_fork_options>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_decode_options>() == 16);
const _: () = assert!(std::mem::size_of::<transformer_decode_result>() == 48);
const _: () = assert!(std::mem::size_of::<transformer_grammar_options>() == 40);
const _: () = assert!(std::mem::size_of::<transformer_constraint_options>() == 24);
const _: () = assert!(std::mem::size_of::<transformer_generate_options>() == 96);
const _: () = assert!(std::mem::size_of::<transformer_generate_result>() == 48);
const _: () = assert!(std::mem::size_of::<transformer_chat_message>() == 16);
const _: () = assert!(std::mem::size_of::<transformer_chat_options>() == 88);
