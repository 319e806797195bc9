use crate::adapter::Adapter;
use crate::context::Context;
use crate::error::{check, Result};
use crate::ffi;
use crate::grammar::{ConstraintOptions, Grammar};
use crate::handle::{collect, first, sized, Handle};
use crate::sampler::Sampler;
use std::ptr::{null, null_mut};

/// A row of numbers of the last decode, [n_vocab] or [n_embd]; no decode can run while it is held.
pub type Logits<'a> = &'a [f32];

/// What a sequence begins with.
#[derive(Clone, Copy, Default)]
pub struct SequenceOptions<'a> {
    /// Decode samples the next token with this one; the sequence must be the only one to use it meanwhile.
    pub sampler: Option<&'a Sampler>,
    /// Names the sequence's random numbers.
    pub stream: u64,
    /// Applied to all that is computed for the sequence and its forks.
    pub adapter: Option<&'a Adapter>,
    /// Times the adapter's own scale; 0: 1.
    pub adapter_scale: f32,
    /// Pages are reused only among sequences of the same domain.
    pub cache_domain: u64,
    /// Higher goes first, and keeps its pages longer.
    pub priority: i32,
    /// Tokens that prompt lookup may propose in a step; 0: none. Needs a sampler.
    pub lookup_tokens: u32,
}

/// Which positions' logits an append keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep<'a> {
    /// Of the last token.
    #[default]
    Last,
    /// Of none.
    None,
    /// Of all.
    All,
    /// Of those that are nonzero, one for each token; and of the last.
    Of(&'a [u8]),
}

/// Tokens and their keys and values in a context.
pub struct Sequence {
    pub(crate) handle: Handle<ffi::transformer_sequence>,
    pub(crate) context: usize, // the address of the context's handle, which lives as long as this does
}

impl SequenceOptions<'_> {
    pub(crate) fn ours(&self) -> ffi::transformer_sequence_options {
        let mut ours: ffi::transformer_sequence_options = sized();
        ours.sampler = self.sampler.map_or(null_mut(), |sampler| sampler.handle.get());
        ours.stream = self.stream;
        ours.adapter = self.adapter.map_or(null_mut(), |adapter| adapter.handle.get());
        ours.adapter_scale = self.adapter_scale;
        ours.cache_domain = self.cache_domain;
        ours.priority = self.priority;
        ours.lookup_tokens = self.lookup_tokens;
        ours
    }
}

impl Sequence {
    pub(crate) fn create(context: &Context, options: &SequenceOptions<'_>) -> Result<Self> {
        let ours = options.ours();
        // SAFETY: all live; the library keeps sampler and adapter alive.
        let handle = Handle::make(ffi::transformer_sequence_destroy, |sequence| unsafe {
            ffi::transformer_sequence_create(context.handle.get(), &ours, sequence)
        })?;
        Ok(Self { handle, context: context.handle.get() as usize })
    }

    pub(crate) fn restore(context: &Context, snapshot: &[u8], options: &SequenceOptions<'_>) -> Result<Self> {
        let sequence = options.ours();
        let mut ours: ffi::transformer_restore_options = sized();
        ours.data = snapshot.as_ptr().cast();
        ours.data_size = snapshot.len() as u64;
        ours.sequence = &sequence;
        // SAFETY: all outlives the call.
        let handle = Handle::make(ffi::transformer_sequence_destroy, |restored| unsafe {
            ffi::transformer_sequence_restore(context.handle.get(), &ours, restored)
        })?;
        Ok(Self { handle, context: context.handle.get() as usize })
    }

    /// Queues tokens, whose last one's logits are kept.
    pub fn append(&mut self, tokens: &[i32]) -> Result<()> {
        self.append_keeping(tokens, Keep::Last, 0)
    }

    /// Queues tokens of a type, and says which logits to keep.
    pub fn append_keeping(&mut self, tokens: &[i32], keep: Keep<'_>, token_type: u32) -> Result<()> {
        let mut ours: ffi::transformer_append_options = sized();
        ours.token_type = token_type;
        match keep {
            Keep::Last => ours.logits = ffi::TRANSFORMER_LOGITS_LAST,
            Keep::None => ours.logits = ffi::TRANSFORMER_LOGITS_NONE,
            Keep::All => ours.logits = ffi::TRANSFORMER_LOGITS_ALL,
            Keep::Of(kept) if kept.len() == tokens.len() => ours.keep = first(kept),
            Keep::Of(kept) => {
                let (n, all) = (kept.len(), tokens.len());
                return Err(crate::Error::invalid(format!("{n} positions to keep or not, of {all} tokens")));
            }
        }
        // SAFETY: tokens are copied.
        check(unsafe { ffi::transformer_sequence_append(self.handle.get(), first(tokens), tokens.len() as i64, &ours) })
    }

    /// What the encoder of an encoder-decoder is to read.
    pub fn set_source(&mut self, tokens: &[i32]) -> Result<()> {
        // SAFETY: tokens are copied.
        check(unsafe {
            ffi::transformer_sequence_set_source(self.handle.get(), first(tokens), tokens.len() as i64, null())
        })
    }

    /// A second sequence of the same tokens, whose pages are shared.
    pub fn fork(&self, sampler: Option<&Sampler>, stream: u64) -> Result<Self> {
        let mut ours: ffi::transformer_fork_options = sized();
        ours.sampler = sampler.map_or(null_mut(), |sampler| sampler.handle.get());
        ours.stream = stream;
        // SAFETY: all live.
        let handle = Handle::make(ffi::transformer_sequence_destroy, |fork| unsafe {
            ffi::transformer_sequence_fork(self.handle.get(), &ours, fork)
        })?;
        Ok(Self { handle, context: self.context })
    }

    /// Keeps the first n tokens.
    pub fn truncate(&mut self, n: usize) -> Result<()> {
        // SAFETY: no row of it is borrowed, for that borrows self.
        check(unsafe { ffi::transformer_sequence_truncate(self.handle.get(), n as i64) })
    }

    /// Higher goes first, and keeps its pages longer.
    pub fn set_priority(&mut self, priority: i32) -> Result<()> {
        // SAFETY: it lives.
        check(unsafe { ffi::transformer_sequence_set_priority(self.handle.get(), priority) })
    }

    /// Guesses of what its own sampler will choose next, which the next decode checks in one step. The text is the
    /// same with or without.
    pub fn propose(&mut self, tokens: &[i32]) -> Result<()> {
        // SAFETY: tokens are copied.
        check(unsafe { ffi::transformer_sequence_propose(self.handle.get(), first(tokens), tokens.len() as i64) })
    }

    /// From here on its tokens are a text of the grammar; None lifts that.
    pub fn constrain(&mut self, grammar: Option<&Grammar>, options: &ConstraintOptions) -> Result<()> {
        let ours = options.ours();
        let grammar = grammar.map_or(null_mut(), |grammar| grammar.handle.get());
        // SAFETY: both live; the sequence keeps the grammar alive.
        check(unsafe { ffi::transformer_sequence_constrain(self.handle.get(), grammar, &ours) })
    }

    /// Its tokens with their keys and values, for [`Context::restore`].
    pub fn save(&self) -> Result<Vec<u8>> {
        let mut size = 0;
        // SAFETY: asks for the size alone.
        check(unsafe { ffi::transformer_sequence_save(self.handle.get(), null(), &mut size) })?;
        let mut bytes = vec![0; size as usize];
        let mut ours: ffi::transformer_save_options = sized();
        ours.buffer = bytes.as_mut_ptr().cast();
        ours.capacity = size;
        // SAFETY: the buffer has that capacity.
        check(unsafe { ffi::transformer_sequence_save(self.handle.get(), &ours, &mut size) })?;
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    /// All tokens, computed or pending.
    pub fn tokens(&self) -> Result<Vec<i32>> {
        // SAFETY: collect gives a buffer of that capacity.
        collect(|tokens, capacity, count| unsafe {
            ffi::transformer_sequence_tokens(self.handle.get(), tokens, capacity, count, null_mut())
        })
    }

    /// How many of them are in the KV cache.
    pub fn n_computed(&self) -> Result<i64> {
        let (mut count, mut computed) = (0, 0);
        // SAFETY: asks for counts alone.
        let status =
            unsafe { ffi::transformer_sequence_tokens(self.handle.get(), null_mut(), 0, &mut count, &mut computed) };
        if status != ffi::TRANSFORMER_BUFFER_TOO_SMALL {
            check(status)?;
        }
        Ok(computed)
    }
}
