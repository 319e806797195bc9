use crate::error::Result;
use crate::ffi;
use crate::handle::{sized, Handle};
use crate::model::{path_text, Model};

/// A LoRA adapter of a model, immutable.
pub struct Adapter {
    pub(crate) handle: Handle<ffi::transformer_adapter>,
}

impl Model {
    /// A folder as PEFT writes it, a file in it, or a GGUF adapter.
    pub fn adapter(&self, path: impl AsRef<std::path::Path>) -> Result<Adapter> {
        let path = path_text(path.as_ref())?;
        let mut ours: ffi::transformer_adapter_options = sized();
        ours.path = path.as_ptr();
        // SAFETY: the path outlives the call; the adapter keeps the model alive.
        let handle = Handle::make(ffi::transformer_adapter_close, |adapter| unsafe {
            ffi::transformer_adapter_open(self.handle.get(), &ours, adapter)
        })?;
        Ok(Adapter { handle })
    }
}
