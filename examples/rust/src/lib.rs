//! Transformer inference by libtransformer: load a model, make a context, decode step by step.
//!
//! ```no_run
//! use libtransformer::{ContextOptions, GenerateOptions, Model, ModelOptions};
//! use std::ops::ControlFlow;
//!
//! let model = Model::open("model.gguf", &ModelOptions::default())?;
//! let mut context = model.context(&ContextOptions::default())?;
//! context.generate("Once upon a time", &GenerateOptions::default(), |text| {
//!     print!("{text}");
//!     ControlFlow::Continue(())
//! })?;
//! # Ok::<(), libtransformer::Error>(())
//! ```
//!
//! transformer.h is the manual: what is said there of the calls holds here. What the types add:
//!
//! - Handles free what they own when they are dropped, in any order and on any thread.
//! - Every handle is `Send` and `Sync`: a call on a context that runs in another thread returns
//!   [`Status::Busy`]. Those that change what others look at take `&mut self`.
//! - Rows of logits are borrowed from the context and the sequence: no decode can run while one is held.
//! - A failure is an [`Error`] with the library's own message. A panic in a callback stops the call and goes on
//!   in the caller.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod adapter;
mod chat;
mod context;
mod error;
#[allow(missing_docs)]
pub mod ffi;
mod generate;
mod grammar;
mod handle;
mod model;
mod sampler;
mod sequence;
mod text;

pub use adapter::Adapter;
pub use chat::{ChatOptions, Message};
pub use context::{Canceller, Context, ContextOptions, DecodeOptions, DecodeResult, KvType, Pooling, Statistics};
pub use error::{Error, Result, Status};
pub use generate::{Finish, GenerateOptions, Generated};
pub use grammar::{ConstraintOptions, Grammar, Language, Match};
pub use model::{Device, LoadMode, Model, ModelDetails, ModelOptions, Reader, SpecialToken, WeightType};
pub use sampler::{Sampler, SamplerOptions};
pub use sequence::{Keep, Logits, Sequence, SequenceOptions};
pub use text::{TextStream, TokenizeOptions};

/// The version of the library that is linked: major, minor, patch.
pub fn version() -> (u32, u32, u32) {
    // SAFETY: takes nothing.
    let version = unsafe { ffi::transformer_version() };
    (version >> 24, version >> 16 & 0xff, version >> 8 & 0xff)
}

/// What was built in and what this machine runs, as "key: value" lines.
pub fn build_info() -> String {
    // SAFETY: the text is this thread's until its next call.
    unsafe { handle::text(ffi::transformer_build_info()) }
}
