use crate::context::Context;
use crate::error::{check, Result};
use crate::ffi;
use crate::grammar::{ConstraintOptions, Grammar};
use crate::handle::{c_text, first, mode, sized};
use crate::sampler::SamplerOptions;
use crate::text::owned;
use std::any::Any;
use std::ffi::c_void;
use std::ops::ControlFlow;
use std::os::raw::c_char;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::time::Duration;

/// How a text goes on.
#[derive(Clone, Copy, Default)]
pub struct GenerateOptions<'a> {
    /// Greedy by default.
    pub sampler: SamplerOptions<'a>,
    /// Generated ones; 0: until the model ends or the context is full.
    pub max_tokens: i64,
    /// As in [`crate::TokenizeOptions`].
    pub add_special: Option<bool>,
    /// Likewise.
    pub parse_special: Option<bool>,
    /// Of an encoder-decoder: tokens after its start token.
    pub answer: &'a [i32],
    /// Strings that end the text.
    pub stop: &'a [&'a str],
    /// Tokens that prompt lookup may propose in a step; 0: none.
    pub lookup_tokens: u32,
    /// The text is one of it.
    pub grammar: Option<&'a Grammar>,
    /// How that text is brought to an end.
    pub constraint: ConstraintOptions,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model's end-of-generation token.
    End,
    /// max_tokens.
    Length,
    /// The context is full.
    Context,
    /// The callback said so.
    Stopped,
    /// A stop string.
    StopString,
    /// A reason that a later library has.
    Other(i32),
}

/// What was generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generated {
    /// Of the prompt.
    pub n_prompt_tokens: i64,
    /// The end token not counted.
    pub n_generated_tokens: i64,
    /// Until the first token was sampled.
    pub prompt_time: Duration,
    /// From there on.
    pub generate_time: Duration,
    /// Why it ended.
    pub finish: Finish,
}

struct Call<F> {
    on_text: F,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn give_text<F: FnMut(&str) -> ControlFlow<()>>(
    user: *mut c_void,
    text: *const c_char,
    length: u64,
) -> i32 {
    // SAFETY: user is the call's own, text [length].
    let (call, text) = unsafe { (&mut *user.cast::<Call<F>>(), owned(text.cast(), length as i64)) };
    match catch_unwind(AssertUnwindSafe(|| (call.on_text)(&text))) {
        Ok(ControlFlow::Continue(())) => return 0,
        Ok(ControlFlow::Break(())) => {}
        Err(panic) => call.panic = Some(panic),
    }
    1
}

impl Context {
    /// Prompt in, text out through a callback, in a sequence of its own.
    pub fn generate<F: FnMut(&str) -> ControlFlow<()>>(
        &mut self,
        prompt: &str,
        options: &GenerateOptions<'_>,
        on_text: F,
    ) -> Result<Generated> {
        let mut call = Call { on_text, panic: None };
        let mut theirs: ffi::transformer_generate_result = sized();
        let stop = options.stop.iter().map(|text| c_text(text)).collect::<Result<Vec<_>>>()?;
        let pointers: Vec<_> = stop.iter().map(|text| text.as_ptr()).collect();
        let constraint = options.constraint.ours();
        let status = options.sampler.with(|sampler| {
            let mut ours: ffi::transformer_generate_options = sized();
            // An empty prompt still needs a pointer, and its length 0 says "up to the NUL".
            ours.prompt = if prompt.is_empty() { b"\0".as_ptr().cast() } else { prompt.as_ptr().cast() };
            ours.prompt_length = prompt.len() as i64;
            ours.sampler = sampler;
            ours.max_tokens = options.max_tokens;
            ours.add_special = mode(options.add_special);
            ours.parse_special = mode(options.parse_special);
            ours.answer = first(options.answer);
            ours.n_answer = options.answer.len() as i64;
            ours.stop = first(&pointers);
            ours.n_stop = pointers.len() as i64;
            ours.lookup_tokens = options.lookup_tokens;
            if let Some(grammar) = options.grammar {
                ours.grammar = grammar.handle.get();
                ours.constraint = &constraint;
            }
            let user = (&mut call as *mut Call<F>).cast();
            // SAFETY: all outlives the call, and no row of the context is borrowed.
            unsafe { ffi::transformer_generate(self.handle.get(), &ours, Some(give_text::<F>), user, &mut theirs) }
        });
        if let Some(panic) = call.panic {
            resume_unwind(panic);
        }
        check(status)?;
        Ok(Generated {
            n_prompt_tokens: theirs.n_prompt_tokens,
            n_generated_tokens: theirs.n_generated_tokens,
            prompt_time: Duration::from_nanos(theirs.prompt_nanoseconds),
            generate_time: Duration::from_nanos(theirs.generate_nanoseconds),
            finish: match theirs.finish_reason {
                ffi::TRANSFORMER_FINISH_END => Finish::End,
                ffi::TRANSFORMER_FINISH_LENGTH => Finish::Length,
                ffi::TRANSFORMER_FINISH_CONTEXT => Finish::Context,
                ffi::TRANSFORMER_FINISH_STOPPED => Finish::Stopped,
                ffi::TRANSFORMER_FINISH_STOP_STRING => Finish::StopString,
                reason => Finish::Other(reason),
            },
        })
    }
}
