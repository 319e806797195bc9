use crate::error::{check, Result};
use crate::ffi;
use crate::handle::{c_text, first, mode, sized, slice, Handle};
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
        self.text_stream_until(special, &[])
    }

    /// A text stream that ends before the first of the stop strings.
    pub fn text_stream_until(&self, special: bool, stop: &[&str]) -> Result<TextStream> {
        let stop = stop.iter().map(|text| c_text(text)).collect::<Result<Vec<_>>>()?;
        let pointers: Vec<_> = stop.iter().map(|text| text.as_ptr()).collect();
        let mut ours: ffi::transformer_text_stream_options = sized();
        ours.special = mode(Some(special));
        ours.stop = first(&pointers);
        ours.n_stop = pointers.len() as i64;
        // SAFETY: both live; stop strings are copied.
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

    /// The stop string that ended the text, by its index.
    pub fn stopped(&self) -> Option<usize> {
        // SAFETY: it lives.
        usize::try_from(unsafe { ffi::transformer_text_stream_stopped(self.handle.get()) }).ok()
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
