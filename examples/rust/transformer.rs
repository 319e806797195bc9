//! The part of transformer.h that generate.rs needs, as Rust declares it.
use std::ffi::c_void;
use std::os::raw::c_char;

pub const OK: i32 = 0;
pub const ON: u32 = 2;

/// An options or output struct with nothing set but its size, which is the first member of each.
/// All of them are plain data for which zero is a value.
pub fn sized<T>() -> T {
    unsafe {
        let mut it: T = std::mem::zeroed();
        *(&mut it as *mut T).cast::<u64>() = std::mem::size_of::<T>() as u64;
        it
    }
}

#[repr(C)]
pub struct ModelOptions {
    pub struct_size: u64,
    pub path: *const c_char,
    pub data: *const c_void,
    pub data_size: u64,
    pub reader: *const c_void,
    pub allocator: *const c_void,
    pub progress: *const c_void,
    pub progress_user: *mut c_void,
    pub log: *const c_void,
    pub log_user: *mut c_void,
    pub device: i32,
    pub load_mode: u32,
    pub copy: u32,
    pub cpu_amx: u32,
}

#[repr(C)]
pub struct ModelDetails {
    pub struct_size: u64,
    pub texts: [*const c_char; 4], // format, architecture, name, weight_types
    pub end_tokens: *const i32,
    pub n_end_tokens: i64,
    pub counts: [i64; 8], // n_vocab ... n_parameters
    pub bytes: [u64; 4],  // file_bytes ... host_bytes
    pub has_tokenizer: u32,
    pub device: i32,
}

#[repr(C)]
pub struct TokenizeOptions {
    pub struct_size: u64,
    pub add_special: u32,
    pub parse_special: u32,
}

#[repr(C)]
pub struct DecodeResult {
    pub struct_size: u64,
    pub n_rows: i64,
    pub n_ready: i64,
    pub n_pending: i64,
    pub n_refused: i64,
    pub n_sampled: i64,
}

pub type Object = *mut c_void;
pub type Options = *const c_void;

extern "C" {
    pub fn transformer_last_error() -> *const c_char;
    pub fn transformer_model_open(options: *const ModelOptions, model: *mut Object) -> i32;
    pub fn transformer_model_info(model: Object, details: *mut ModelDetails) -> i32;
    pub fn transformer_model_close(model: Object);
    pub fn transformer_tokenize(
        model: Object,
        text: *const u8,
        length: i64,
        options: *const TokenizeOptions,
        tokens: *mut i32,
        capacity: i64,
        count: *mut i64,
    ) -> i32;
    pub fn transformer_context_create(model: Object, options: Options, context: *mut Object)
        -> i32;
    pub fn transformer_context_destroy(context: Object);
    pub fn transformer_sequence_create(context: Object, o: Options, sequence: *mut Object) -> i32;
    pub fn transformer_sequence_append(
        sequence: Object,
        tokens: *const i32,
        n: i64,
        o: Options,
    ) -> i32;
    pub fn transformer_sequence_destroy(sequence: Object);
    pub fn transformer_decode(context: Object, options: Options, result: *mut DecodeResult) -> i32;
    pub fn transformer_sampler_create(model: Object, options: Options, sampler: *mut Object)
        -> i32;
    pub fn transformer_sampler_sample(
        sampler: Object,
        from: Object,
        o: Options,
        token: *mut i32,
    ) -> i32;
    pub fn transformer_sampler_destroy(sampler: Object);
    pub fn transformer_text_stream_create(model: Object, o: Options, stream: *mut Object) -> i32;
    pub fn transformer_text_stream_push(
        stream: Object,
        token: i32,
        text: *mut *const u8,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_text_stream_finish(
        stream: Object,
        text: *mut *const u8,
        length: *mut i64,
    ) -> i32;
    pub fn transformer_text_stream_destroy(stream: Object);
}
