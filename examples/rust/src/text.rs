use crate::error::{check, Result};
use crate::ffi;
use crate::handle::{mode, sized, slice, Handle};
use crate::model::Model;
use std::ptr::null;

/// What is added to a text's tokens. None: the library's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenizeOptions<'a> {
    /// Begin and end tokens as the model wants them; by default they are added.
    pub add_special: Option<bool>,
    /// Control tokens written out in the text become those tokens; by default they don't.
    pub parse_special: Option<bool>,
    /// Another text after the first: the pair that a cross-encoder is given.
    pub second: Option<&'a str>,
}

/// Turns tokens into UTF-8 that never splits a character.
pub struct TextStream {
    handle: Handle<ffi::transformer_text_stream>,
}

impl Model {
    /// A text stream; with `special` control tokens are written out.
    pub fn text_stream(&self, special: bool) -> Result<TextStream> {
        let mut ours: ffi::transformer_text_stream_options = sized();
        ours.special = mode(Some(special));
        // SAFETY: both live.
        let handle = Handle::make(ffi::transformer_text_stream_destroy, |stream| unsafe {
            ffi::transformer_text_stream_create(self.handle.get(), &ours, stream)
        })?;
        Ok(TextStream { handle })
    }
}

impl TextStream {
    /// The characters that are complete with this token, maybe none.
    pub fn push(&mut self, token: i32) -> Result<String> {
        let (mut bytes, mut length) = (null(), 0);
        // SAFETY: all live.
        check(unsafe { ffi::transformer_text_stream_push(self.handle.get(), token, &mut bytes, &mut length) })?;
        // SAFETY: valid until the stream's next call.
        Ok(unsafe { owned(bytes.cast(), length) })
    }

    /// What is left; the stream starts anew.
    pub fn finish(&mut self) -> Result<String> {
        let (mut bytes, mut length) = (null(), 0);
        // SAFETY: all live.
        check(unsafe { ffi::transformer_text_stream_finish(self.handle.get(), &mut bytes, &mut length) })?;
        // SAFETY: likewise.
        Ok(unsafe { owned(bytes.cast(), length) })
    }
}

/// # Safety
/// `bytes` [length] live.
pub(crate) unsafe fn owned(bytes: *const u8, length: i64) -> String {
    // SAFETY: the caller's.
    String::from_utf8_lossy(unsafe { slice(bytes, length) }).into_owned()
}
