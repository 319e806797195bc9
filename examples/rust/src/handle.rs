//! Handles that free themselves, and what passes between Rust and C.
use crate::error::{check, Error, Result};
use crate::ffi;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::raw::c_char;
use std::ptr::{null, null_mut, NonNull};

/// One of the library's objects and what frees it.
pub(crate) struct Handle<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

// SAFETY: transformer.h, OBJECTS: handles may be used and destroyed from any thread; where only one call at a time
// can run, another returns BUSY.
unsafe impl<T> Send for Handle<T> {}
unsafe impl<T> Sync for Handle<T> {}

impl<T> Handle<T> {
    /// `create` writes the object through its argument if it succeeds.
    pub fn make(destroy: unsafe extern "C" fn(*mut T), create: impl FnOnce(*mut *mut T) -> i32) -> Result<Self> {
        let mut object = null_mut();
        check(create(&mut object))?;
        let object = NonNull::new(object).expect("a call that succeeds gives a handle");
        Ok(Self { object, destroy })
    }

    pub fn get(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: it was made by the library and is destroyed once.
        unsafe { (self.destroy)(self.object.as_ptr()) }
    }
}

/// Structs of transformer.h for which zero is a value of every member and the first says its size.
///
/// # Safety
/// That is so.
pub(crate) unsafe trait Sized_: Sized {
    fn sized() -> Self {
        // SAFETY: as the trait says.
        unsafe {
            let mut made = MaybeUninit::<Self>::zeroed();
            made.as_mut_ptr().cast::<u64>().write(std::mem::size_of::<Self>() as u64);
            made.assume_init()
        }
    }
}

macro_rules! sized {
    ($($name:ident),* $(,)?) => { $(unsafe impl Sized_ for ffi::$name {})* };
}
sized!(
    transformer_adapter_options,
    transformer_append_options,
    transformer_chat_options,
    transformer_context_options,
    transformer_constraint_options,
    transformer_context_statistics,
    transformer_convert_options,
    transformer_decode_options,
    transformer_decode_result,
    transformer_detokenize_options,
    transformer_device_details,
    transformer_fork_options,
    transformer_generate_options,
    transformer_generate_result,
    transformer_grammar_options,
    transformer_memory_estimate,
    transformer_model_details,
    transformer_model_options,
    transformer_restore_options,
    transformer_sample_options,
    transformer_sampler_options,
    transformer_save_options,
    transformer_sequence_options,
    transformer_source_options,
    transformer_text_stream_options,
    transformer_tokenize_options,
);

pub(crate) fn sized<T: Sized_>() -> T {
    T::sized()
}

/// # Safety
/// NULL, or a text that ends in a NUL.
pub(crate) unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `first` points to `count` values that live as long as 'a, or count is 0.
pub(crate) unsafe fn slice<'a, T>(first: *const T, count: i64) -> &'a [T] {
    if first.is_null() || count <= 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(first, count as usize) }
}

pub(crate) fn c_text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|e| Error::invalid(format!("a text has a NUL at byte {}", e.nul_position())))
}

pub(crate) fn c_text_or_none(text: Option<&str>) -> Result<Option<CString>> {
    text.map(c_text).transpose()
}

pub(crate) fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(null(), |t| t.as_ptr())
}

/// NULL for an empty slice.
pub(crate) fn first<T>(values: &[T]) -> *const T {
    if values.is_empty() {
        null()
    } else {
        values.as_ptr()
    }
}

pub(crate) fn mode(on: Option<bool>) -> u32 {
    match on {
        None => ffi::TRANSFORMER_DEFAULT,
        Some(false) => ffi::TRANSFORMER_OFF,
        Some(true) => ffi::TRANSFORMER_ON,
    }
}

/// What a call with buffer, capacity and count gives, asked once for its size and again until it fits.
pub(crate) fn collect<T: Clone + Default>(mut call: impl FnMut(*mut T, i64, *mut i64) -> i32) -> Result<Vec<T>> {
    let mut values: Vec<T> = Vec::new();
    loop {
        let mut count = 0;
        let buffer = if values.is_empty() { null_mut() } else { values.as_mut_ptr() };
        let status = call(buffer, values.len() as i64, &mut count);
        if status == ffi::TRANSFORMER_BUFFER_TOO_SMALL || (status == ffi::TRANSFORMER_OK && count > values.len() as i64)
        {
            values.resize(count as usize, T::default());
            continue;
        }
        check(status)?;
        values.truncate(count as usize);
        return Ok(values);
    }
}
