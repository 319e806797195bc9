use crate::{ffi, handle};
use std::fmt;

/// Why a call failed, as transformer.h's codes say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The call is wrong: a bad token id, another context's sequence, a text with a NUL.
    InvalidArgument,
    /// An allocation was refused, or a thread could not be started.
    OutOfMemory,
    /// A file or reader could not be opened or read.
    Io,
    /// A file breaks its format.
    Format,
    /// Well-formed, but not something the library does.
    Unsupported,
    /// A limit of the context or model is reached; nothing is lost.
    Limit,
    /// Stopped by [`crate::Canceller::cancel`] or by a callback.
    Cancelled,
    /// A device failed or was lost.
    Device,
    /// No such file, key, token or position.
    NotFound,
    /// Never seen by callers of this crate, which asks for the size first.
    BufferTooSmall,
    /// Not possible in the handle's present state.
    State,
    /// Another call on this context, sampler or stream is running.
    Busy,
    /// A bug in the library.
    Internal,
    /// A code that a later library has.
    Unknown(i32),
}

impl Status {
    fn of(code: i32) -> Self {
        match code {
            ffi::TRANSFORMER_INVALID_ARGUMENT => Self::InvalidArgument,
            ffi::TRANSFORMER_OUT_OF_MEMORY => Self::OutOfMemory,
            ffi::TRANSFORMER_IO => Self::Io,
            ffi::TRANSFORMER_FORMAT => Self::Format,
            ffi::TRANSFORMER_UNSUPPORTED => Self::Unsupported,
            ffi::TRANSFORMER_LIMIT => Self::Limit,
            ffi::TRANSFORMER_CANCELLED => Self::Cancelled,
            ffi::TRANSFORMER_DEVICE => Self::Device,
            ffi::TRANSFORMER_NOT_FOUND => Self::NotFound,
            ffi::TRANSFORMER_BUFFER_TOO_SMALL => Self::BufferTooSmall,
            ffi::TRANSFORMER_STATE => Self::State,
            ffi::TRANSFORMER_BUSY => Self::Busy,
            ffi::TRANSFORMER_INTERNAL => Self::Internal,
            code => Self::Unknown(code),
        }
    }
}

/// A call that failed, with the library's own message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: Status::InvalidArgument, message: message.into() }
    }

    /// The code.
    pub fn status(&self) -> Status {
        self.status
    }

    /// One line that names the file, key, tensor or limit.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.message, self.status)
    }
}

impl std::error::Error for Error {}

/// What every call that can fail returns.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn check(code: i32) -> Result<()> {
    if code == ffi::TRANSFORMER_OK {
        return Ok(());
    }
    // SAFETY: never NULL, this thread's until its next failing call.
    let message = unsafe { handle::text(ffi::transformer_last_error()) };
    Err(Error { status: Status::of(code), message })
}
