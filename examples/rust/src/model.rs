use crate::error::{check, Result};
use crate::ffi;
use crate::handle::{c_text, collect, first, mode, sized, slice, text, Handle};
use crate::text::TokenizeOptions;
use std::ffi::{c_void, CStr, CString};
use std::os::raw::c_char;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// How a file's bytes get in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadMode {
    /// Mapped: the file must not shrink while the model is open.
    #[default]
    Map,
    /// Read.
    Read,
}

/// Types that matrices can be quantized to while they are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, non_camel_case_types)]
#[repr(u32)]
pub enum WeightType {
    #[default]
    AsIs = ffi::TRANSFORMER_WEIGHTS_AS_IS,
    F32 = ffi::TRANSFORMER_WEIGHTS_F32,
    F16 = ffi::TRANSFORMER_WEIGHTS_F16,
    BF16 = ffi::TRANSFORMER_WEIGHTS_BF16,
    Q4_0 = ffi::TRANSFORMER_WEIGHTS_Q4_0,
    Q4_1 = ffi::TRANSFORMER_WEIGHTS_Q4_1,
    Q5_0 = ffi::TRANSFORMER_WEIGHTS_Q5_0,
    Q5_1 = ffi::TRANSFORMER_WEIGHTS_Q5_1,
    Q8_0 = ffi::TRANSFORMER_WEIGHTS_Q8_0,
    Q2_K = ffi::TRANSFORMER_WEIGHTS_Q2_K,
    Q3_K = ffi::TRANSFORMER_WEIGHTS_Q3_K,
    Q4_K = ffi::TRANSFORMER_WEIGHTS_Q4_K,
    Q5_K = ffi::TRANSFORMER_WEIGHTS_Q5_K,
    Q6_K = ffi::TRANSFORMER_WEIGHTS_Q6_K,
}

/// How a model is opened. [`Default`] maps the file as it is for the CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelOptions {
    /// 0 is the CPU; GPUs follow.
    pub device: i32,
    /// Map or read.
    pub load_mode: LoadMode,
    /// The CPU's kernels may use AMX, which asks Linux for a permission of the whole process.
    pub cpu_amx: bool,
    /// Quantizes while loading.
    pub weight_type: WeightType,
}

/// Where a model's files come from when they are not in the file system.
pub trait Reader {
    /// Bytes of the file; None: there is no such file.
    fn size(&mut self, name: &str) -> Option<u64>;
    /// Fills the buffer from `offset` on; false: that can't be.
    fn read(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> bool;
}

/// What a model is.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct ModelDetails {
    pub format: String,
    pub architecture: String,
    pub name: String,
    pub weight_types: String,
    /// Tokens that end a generation, ascending.
    pub end_tokens: Vec<i32>,
    pub n_vocab: i64,
    pub n_embd: i64,
    pub n_layers: i64,
    pub n_heads: i64,
    pub n_kv_heads: i64,
    pub head_dim: i64,
    /// Tokens it was trained for.
    pub context_length: i64,
    pub n_parameters: i64,
    pub file_bytes: u64,
    pub weight_bytes: u64,
    pub weight_bytes_per_token: u64,
    pub host_bytes: u64,
    pub has_tokenizer: bool,
    pub has_logits: bool,
    pub device: i32,
    /// Types that a token may have, at least 1.
    pub n_token_types: i64,
    /// Numbers of a sequence's score; 0: the model gives none.
    pub n_labels: i64,
    /// An encoder-decoder, whose sequences need a source.
    pub needs_source: bool,
    /// What its decoder begins with.
    pub start_token: Option<i32>,
    pub n_source_vocab: i64,
    pub source_context_length: i64,
}

/// Tokens with a part to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(i32)]
pub enum SpecialToken {
    Begin = ffi::TRANSFORMER_TOKEN_BEGIN,
    End = ffi::TRANSFORMER_TOKEN_END,
    EndOfTurn = ffi::TRANSFORMER_TOKEN_END_OF_TURN,
    Unknown = ffi::TRANSFORMER_TOKEN_UNKNOWN,
    Separator = ffi::TRANSFORMER_TOKEN_SEPARATOR,
    Padding = ffi::TRANSFORMER_TOKEN_PADDING,
    Classify = ffi::TRANSFORMER_TOKEN_CLASSIFY,
    Mask = ffi::TRANSFORMER_TOKEN_MASK,
    Start = ffi::TRANSFORMER_TOKEN_START,
}

/// Weights and tokenizer, immutable. A clone is one more owner of the same.
pub struct Model {
    pub(crate) handle: Handle<ffi::transformer_model>,
}

impl Clone for Model {
    fn clone(&self) -> Self {
        let retain = |model: *mut *mut ffi::transformer_model| {
            // SAFETY: retain returns its argument, which each owner closes once.
            unsafe { *model = ffi::transformer_model_retain(self.handle.get()) };
            ffi::TRANSFORMER_OK
        };
        let handle = Handle::make(ffi::transformer_model_close, retain).expect("retain can't fail");
        Self { handle }
    }
}

impl Model {
    /// A GGUF file, the first part of a split one, or a Hugging Face folder.
    pub fn open(path: impl AsRef<std::path::Path>, options: &ModelOptions) -> Result<Self> {
        let path = path_text(path.as_ref())?;
        let mut ours = options.ours();
        ours.path = path.as_ptr();
        Self::open_with(&ours)
    }

    /// The bytes of a file; what is still needed of them after the call is copied.
    pub fn from_bytes(name: &str, data: &[u8], options: &ModelOptions) -> Result<Self> {
        let name = c_text(name)?;
        let mut ours = options.ours();
        ours.path = name.as_ptr();
        ours.data = data.as_ptr().cast();
        ours.data_size = data.len() as u64;
        ours.copy = ffi::TRANSFORMER_ON;
        Self::open_with(&ours)
    }

    /// Files that the reader has; a folder's name ends in '/' or is "".
    pub fn from_reader(name: &str, reader: &mut dyn Reader, options: &ModelOptions) -> Result<Self> {
        let name = c_text(name)?;
        let mut user = ReaderCall { reader, panic: None };
        let theirs = ffi::transformer_reader {
            size: Some(reader_size),
            read: Some(reader_read),
            user: (&mut user as *mut ReaderCall<'_>).cast(),
        };
        let mut ours = options.ours();
        ours.path = name.as_ptr();
        ours.reader = &theirs;
        let opened = Self::open_with(&ours);
        match user.panic {
            Some(panic) => resume_unwind(panic),
            None => opened,
        }
    }

    fn open_with(options: &ffi::transformer_model_options) -> Result<Self> {
        // SAFETY: what options point to outlives the call, and with data the library copies.
        let handle =
            Handle::make(ffi::transformer_model_close, |model| unsafe { ffi::transformer_model_open(options, model) })?;
        Ok(Self { handle })
    }

    /// What it is.
    pub fn details(&self) -> Result<ModelDetails> {
        let mut theirs: ffi::transformer_model_details = sized();
        // SAFETY: both live. The strings live as long as the model.
        unsafe {
            check(ffi::transformer_model_info(self.handle.get(), &mut theirs))?;
            Ok(ModelDetails {
                format: text(theirs.format),
                architecture: text(theirs.architecture),
                name: text(theirs.name),
                weight_types: text(theirs.weight_types),
                end_tokens: slice(theirs.end_tokens, theirs.n_end_tokens).to_vec(),
                n_vocab: theirs.n_vocab,
                n_embd: theirs.n_embd,
                n_layers: theirs.n_layers,
                n_heads: theirs.n_heads,
                n_kv_heads: theirs.n_kv_heads,
                head_dim: theirs.head_dim,
                context_length: theirs.context_length,
                n_parameters: theirs.n_parameters,
                file_bytes: theirs.file_bytes,
                weight_bytes: theirs.weight_bytes,
                weight_bytes_per_token: theirs.weight_bytes_per_token,
                host_bytes: theirs.host_bytes,
                has_tokenizer: theirs.has_tokenizer != 0,
                has_logits: theirs.has_logits != 0,
                device: theirs.device,
                n_token_types: theirs.n_token_types,
                n_labels: theirs.n_labels,
                needs_source: theirs.needs_source != 0,
                start_token: Some(theirs.start_token).filter(|&token| theirs.needs_source != 0 && token >= 0),
                n_source_vocab: theirs.n_source_vocab,
                source_context_length: theirs.source_context_length,
            })
        }
    }

    /// Metadata of the file; [`crate::Status::NotFound`] if it has no such key.
    pub fn metadata(&self, key: &str) -> Result<String> {
        let key = c_text(key)?;
        // SAFETY: collect gives a buffer of that capacity.
        let bytes = collect::<u8>(|buffer, capacity, length| unsafe {
            ffi::transformer_model_metadata(self.handle.get(), key.as_ptr(), buffer.cast(), capacity, length)
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text's tokens.
    pub fn tokenize(&self, text: &str, options: &TokenizeOptions<'_>) -> Result<Vec<i32>> {
        let mut ours: ffi::transformer_tokenize_options = sized();
        ours.add_special = mode(options.add_special);
        ours.parse_special = mode(options.parse_special);
        if let Some(second) = options.second {
            ours.second = second.as_ptr().cast();
            ours.second_length = second.len() as i64;
        }
        // SAFETY: likewise; the texts outlive the call.
        collect(|tokens, capacity, count| unsafe {
            let (bytes, length) = (text.as_ptr().cast(), text.len() as i64);
            ffi::transformer_tokenize(self.handle.get(), bytes, length, &ours, tokens, capacity, count)
        })
    }

    /// The bytes that tokens spell; UTF-8 if they spell UTF-8.
    pub fn detokenize(&self, tokens: &[i32], special: bool) -> Result<Vec<u8>> {
        let mut ours: ffi::transformer_detokenize_options = sized();
        ours.special = mode(Some(special));
        // SAFETY: likewise.
        collect(|buffer: *mut u8, capacity, length| unsafe {
            let (values, count) = (first(tokens), tokens.len() as i64);
            ffi::transformer_detokenize(self.handle.get(), values, count, &ours, buffer.cast(), capacity, length)
        })
    }

    /// The bytes that one token adds in the middle of a text; a control token's own name.
    pub fn token_text(&self, token: i32) -> Result<Vec<u8>> {
        // SAFETY: likewise.
        collect(|buffer: *mut u8, capacity, length| unsafe {
            ffi::transformer_token_text(self.handle.get(), token, buffer.cast(), capacity, length)
        })
    }

    /// The token, if the model names one.
    pub fn special_token(&self, kind: SpecialToken) -> Option<i32> {
        let mut token = 0;
        // SAFETY: both live.
        let status = unsafe { ffi::transformer_special_token(self.handle.get(), kind as i32, &mut token) };
        (status == ffi::TRANSFORMER_OK).then_some(token)
    }

    /// Writes the model as a GGUF file; `options` are those of the model at `path`.
    pub fn convert(
        path: impl AsRef<std::path::Path>,
        options: &ModelOptions,
        output: &mut dyn std::io::Write,
    ) -> std::io::Result<()> {
        let path = path_text(path.as_ref()).map_err(std::io::Error::other_error)?;
        let mut model = options.ours();
        model.path = path.as_ptr();
        let mut call = WriteCall { output, failure: None, panic: None };
        let mut ours: ffi::transformer_convert_options = sized();
        ours.model = &model;
        ours.write = Some(write_bytes);
        ours.write_user = (&mut call as *mut WriteCall<'_>).cast();
        // SAFETY: all outlives the call.
        let converted = check(unsafe { ffi::transformer_model_convert(&ours) });
        if let Some(panic) = call.panic {
            resume_unwind(panic);
        }
        match call.failure {
            Some(failure) => Err(failure),
            None => converted.map_err(std::io::Error::other_error),
        }
    }
}

/// `std::io::Error::other`, which Rust 1.63 doesn't have.
trait OtherError {
    fn other_error(error: crate::Error) -> Self;
}
impl OtherError for std::io::Error {
    fn other_error(error: crate::Error) -> Self {
        Self::new(std::io::ErrorKind::Other, error)
    }
}

impl ModelOptions {
    fn ours(&self) -> ffi::transformer_model_options {
        let mut ours: ffi::transformer_model_options = sized();
        ours.device = self.device;
        ours.load_mode = match self.load_mode {
            LoadMode::Map => ffi::TRANSFORMER_LOAD_MAP,
            LoadMode::Read => ffi::TRANSFORMER_LOAD_READ,
        };
        ours.cpu_amx = mode(Some(self.cpu_amx));
        ours.weight_type = self.weight_type as u32;
        ours
    }
}

pub(crate) fn path_text(path: &std::path::Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| crate::Error::invalid(format!("'{}' has a NUL", path.display())))
}

struct ReaderCall<'a> {
    reader: &'a mut dyn Reader,
    panic: Option<Box<dyn std::any::Any + Send>>,
}

impl ReaderCall<'_> {
    /// -1 after a panic, which goes on once the library has returned.
    fn run(&mut self, call: impl FnOnce(&mut dyn Reader) -> i64) -> i64 {
        match catch_unwind(AssertUnwindSafe(|| call(self.reader))) {
            Ok(result) => result,
            Err(panic) => {
                self.panic = Some(panic);
                -1
            }
        }
    }
}

unsafe extern "C" fn reader_size(user: *mut c_void, name: *const c_char) -> i64 {
    // SAFETY: user is the call's own; name ends in a NUL.
    let (call, name) = unsafe { (&mut *user.cast::<ReaderCall<'_>>(), CStr::from_ptr(name)) };
    let size = |reader: &mut dyn Reader| reader.size(&name.to_string_lossy());
    call.run(|reader| size(reader).map_or(-1, |n| i64::try_from(n).unwrap_or(-1)))
}

unsafe extern "C" fn reader_read(
    user: *mut c_void,
    name: *const c_char,
    offset: u64,
    buffer: *mut c_void,
    n: u64,
) -> i64 {
    if n == 0 {
        return 0;
    }
    // SAFETY: likewise; the buffer has n bytes, which are made readable before they are lent.
    let (call, name, buffer) = unsafe {
        std::ptr::write_bytes(buffer.cast::<u8>(), 0, n as usize);
        let bytes = std::slice::from_raw_parts_mut(buffer.cast::<u8>(), n as usize);
        (&mut *user.cast::<ReaderCall<'_>>(), CStr::from_ptr(name), bytes)
    };
    call.run(|reader| if reader.read(&name.to_string_lossy(), offset, buffer) { n as i64 } else { -1 })
}

pub(crate) struct WriteCall<'a> {
    pub output: &'a mut dyn std::io::Write,
    pub failure: Option<std::io::Error>,
    pub panic: Option<Box<dyn std::any::Any + Send>>,
}

pub(crate) unsafe extern "C" fn write_bytes(user: *mut c_void, bytes: *const c_void, n: u64) -> i32 {
    // SAFETY: user is the call's own, bytes [n].
    let (call, bytes) = unsafe { (&mut *user.cast::<WriteCall<'_>>(), slice(bytes.cast::<u8>(), n as i64)) };
    match catch_unwind(AssertUnwindSafe(|| call.output.write_all(bytes))) {
        Ok(Ok(())) => return 0,
        Ok(Err(failure)) => call.failure = Some(failure),
        Err(panic) => call.panic = Some(panic),
    }
    1
}

/// A device that models can be opened for.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct Device {
    pub kind: String,
    pub name: String,
    pub path: String,
    pub memory_bytes: u64,
    pub n_processors: u64,
}

impl Device {
    /// All of them; the first is the CPU.
    pub fn all() -> Result<Vec<Self>> {
        // SAFETY: the strings are this thread's.
        unsafe {
            (0..ffi::transformer_device_count())
                .map(|device| {
                    let mut theirs: ffi::transformer_device_details = sized();
                    check(ffi::transformer_device_info(device, &mut theirs))?;
                    Ok(Self {
                        kind: text(theirs.kind),
                        name: text(theirs.name),
                        path: text(theirs.path),
                        memory_bytes: theirs.memory_bytes,
                        n_processors: theirs.n_processors,
                    })
                })
                .collect()
        }
    }
}
