use crate::error::{check, Result};
use crate::ffi;
use crate::handle::{first, mode, sized, slice, Handle};
use crate::model::Model;
use crate::sequence::{Logits, Sequence, SequenceOptions};
use std::sync::{Arc, Weak};

/// What keys and values are kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, non_camel_case_types)]
#[repr(u32)]
pub enum KvType {
    #[default]
    Default = ffi::TRANSFORMER_KV_DEFAULT,
    F32 = ffi::TRANSFORMER_KV_F32,
    F16 = ffi::TRANSFORMER_KV_F16,
    BF16 = ffi::TRANSFORMER_KV_BF16,
    Q8_0 = ffi::TRANSFORMER_KV_Q8_0,
}

/// How the hidden states of a sequence become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u32)]
pub enum Pooling {
    #[default]
    Default = ffi::TRANSFORMER_POOLING_DEFAULT,
    None = ffi::TRANSFORMER_POOLING_NONE,
    Mean = ffi::TRANSFORMER_POOLING_MEAN,
    First = ffi::TRANSFORMER_POOLING_FIRST,
    Last = ffi::TRANSFORMER_POOLING_LAST,
}

/// Sizes of a context; 0 is the default of each, as transformer_context_options has them.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct ContextOptions {
    pub max_sequence_tokens: i64,
    pub kv_tokens: i64,
    pub max_sequences: i64,
    pub max_step_tokens: i64,
    pub max_logit_rows: i64,
    pub max_source_tokens: i64,
    pub n_threads: i32,
    pub kv_type: KvType,
    pub pooling: Pooling,
    pub pooling_normalize: Option<bool>,
    /// Keep the pages of prompts that are gone, while nobody needs them; by default so.
    pub prefix_cache: Option<bool>,
    /// When pages run out, take them from the sequence of the lowest priority; by default not.
    pub preemption: Option<bool>,
}

/// What bounds one step.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeOptions {
    /// Rows; 0: the context's max_step_tokens.
    pub max_tokens: i64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeResult {
    /// Tokens computed.
    pub n_rows: i64,
    /// Sequences with nothing pending whose last position was computed.
    pub n_ready: i64,
    /// Sequences that still have pending tokens.
    pub n_pending: i64,
    /// Sequences that got no row for want of KV pages.
    pub n_refused: i64,
    /// Sequences whose own sampler queued a token.
    pub n_sampled: i64,
    /// Sequences that lost their pages.
    pub n_preempted: i64,
    /// Rows that were proposals.
    pub n_proposed: i64,
    /// Those of them that sampling chose too.
    pub n_accepted: i64,
}

/// What a context has and did.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct Statistics {
    pub host_bytes: u64,
    pub kv_bytes: u64,
    pub kv_pages: i64,
    pub kv_pages_free: i64,
    pub kv_page_tokens: i64,
    pub n_sequences: i64,
    pub pending_tokens: i64,
    pub steps: u64,
    pub rows: u64,
    pub n_threads: i64,
    pub max_sequence_tokens: i64,
    pub max_step_tokens: i64,
    pub max_logit_rows: i64,
    pub max_source_tokens: i64,
    pub kv_pages_cached: i64,
    pub prefix_lookups: u64,
    pub prefix_hit_tokens: u64,
    pub prefix_evicted_pages: u64,
    pub n_preempted: u64,
    pub step_nanoseconds: u64,
    pub step_nanoseconds_median: u64,
    pub step_nanoseconds_p99: u64,
    pub n_proposed: u64,
    pub n_accepted: u64,
}

/// KV cache, buffers and threads of a model.
pub struct Context {
    pub(crate) handle: Arc<Handle<ffi::transformer_context>>,
    pub(crate) model: Model,
}

impl Model {
    /// A context of this model.
    pub fn context(&self, options: &ContextOptions) -> Result<Context> {
        let mut ours: ffi::transformer_context_options = sized();
        ours.max_sequence_tokens = options.max_sequence_tokens;
        ours.kv_tokens = options.kv_tokens;
        ours.max_sequences = options.max_sequences;
        ours.max_step_tokens = options.max_step_tokens;
        ours.max_logit_rows = options.max_logit_rows;
        ours.max_source_tokens = options.max_source_tokens;
        ours.n_threads = options.n_threads;
        ours.kv_type = options.kv_type as u32;
        ours.pooling = options.pooling as u32;
        ours.pooling_normalize = mode(options.pooling_normalize);
        ours.prefix_cache = mode(options.prefix_cache);
        ours.preemption = mode(options.preemption);
        // SAFETY: the model lives.
        let handle = Handle::make(ffi::transformer_context_destroy, |context| unsafe {
            ffi::transformer_context_create(self.handle.get(), &ours, context)
        })?;
        Ok(Context { handle: Arc::new(handle), model: self.clone() })
    }
}

impl Context {
    /// The model it is of.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// A sequence without tokens.
    pub fn sequence(&self, options: &SequenceOptions<'_>) -> Result<Sequence> {
        Sequence::create(self, options)
    }

    /// What [`Sequence::save`] gave, here or elsewhere; its stream is the snapshot's if that is 0 here.
    pub fn restore(&self, snapshot: &[u8], options: &SequenceOptions<'_>) -> Result<Sequence> {
        Sequence::restore(self, snapshot, options)
    }

    /// One step over every sequence with pending tokens.
    pub fn decode(&mut self, options: &DecodeOptions) -> Result<DecodeResult> {
        let mut ours: ffi::transformer_decode_options = sized();
        ours.max_tokens = options.max_tokens;
        let mut theirs: ffi::transformer_decode_result = sized();
        // SAFETY: no row of an earlier step is borrowed, for that borrows self.
        check(unsafe { ffi::transformer_decode(self.handle.get(), &ours, &mut theirs) })?;
        Ok(DecodeResult {
            n_rows: theirs.n_rows,
            n_ready: theirs.n_ready,
            n_pending: theirs.n_pending,
            n_refused: theirs.n_refused,
            n_sampled: theirs.n_sampled,
            n_preempted: theirs.n_preempted,
            n_proposed: theirs.n_proposed,
            n_accepted: theirs.n_accepted,
        })
    }

    /// Steps until nothing is pending.
    pub fn decode_all(&mut self) -> Result<()> {
        while self.decode(&DecodeOptions::default())?.n_pending > 0 {}
        Ok(())
    }

    /// What stops a decode of this context from elsewhere.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::downgrade(&self.handle))
    }

    /// What it has and did.
    pub fn statistics(&self) -> Result<Statistics> {
        let mut theirs: ffi::transformer_context_statistics = sized();
        // SAFETY: both live.
        check(unsafe { ffi::transformer_context_stats(self.handle.get(), &mut theirs) })?;
        Ok(Statistics {
            host_bytes: theirs.host_bytes,
            kv_bytes: theirs.kv_bytes,
            kv_pages: theirs.kv_pages,
            kv_pages_free: theirs.kv_pages_free,
            kv_page_tokens: theirs.kv_page_tokens,
            n_sequences: theirs.n_sequences,
            pending_tokens: theirs.pending_tokens,
            steps: theirs.steps,
            rows: theirs.rows,
            n_threads: theirs.n_threads,
            max_sequence_tokens: theirs.max_sequence_tokens,
            max_step_tokens: theirs.max_step_tokens,
            max_logit_rows: theirs.max_logit_rows,
            max_source_tokens: theirs.max_source_tokens,
            kv_pages_cached: theirs.kv_pages_cached,
            prefix_lookups: theirs.prefix_lookups,
            prefix_hit_tokens: theirs.prefix_hit_tokens,
            prefix_evicted_pages: theirs.prefix_evicted_pages,
            n_preempted: theirs.n_preempted,
            step_nanoseconds: theirs.step_nanoseconds,
            step_nanoseconds_median: theirs.step_nanoseconds_median,
            step_nanoseconds_p99: theirs.step_nanoseconds_p99,
            n_proposed: theirs.n_proposed,
            n_accepted: theirs.n_accepted,
        })
    }

    /// The logits [n_vocab] that follow `position` (-1 is the sequence's last), if the last decode kept them.
    pub fn logits<'a>(&'a self, sequence: &'a Sequence, position: i64) -> Result<Logits<'a>> {
        self.view(sequence, |object, row, count| {
            // SAFETY: view passes a sequence of this context.
            unsafe { ffi::transformer_sequence_logits(object, position, row, count) }
        })
    }

    /// Natural logarithms of the probabilities that the model gives to `tokens` after a position whose logits were
    /// kept, and the `n_top` likeliest tokens with theirs.
    pub fn log_probabilities(
        &self,
        sequence: &Sequence,
        position: i64,
        tokens: &[i32],
        n_top: usize,
    ) -> Result<(Vec<f32>, Vec<(i32, f32)>)> {
        let mut values = vec![0.0; tokens.len()];
        let mut top = vec![ffi::transformer_token_probability { token: 0, log_probability: 0.0 }; n_top];
        let none = std::ptr::null_mut();
        // SAFETY: both arrays have as many elements as is said.
        check(unsafe {
            ffi::transformer_sequence_log_probabilities(
                sequence.handle.get(),
                position,
                first(tokens),
                tokens.len() as i64,
                if tokens.is_empty() { std::ptr::null_mut() } else { values.as_mut_ptr() },
                if n_top == 0 { none } else { top.as_mut_ptr() },
                n_top as i64,
            )
        })?;
        Ok((values, top.iter().map(|it| (it.token, it.log_probability)).collect()))
    }

    /// The hidden state [n_embd] of a position whose logits were kept.
    pub fn embedding<'a>(&'a self, sequence: &'a Sequence, position: i64) -> Result<Logits<'a>> {
        self.view(sequence, |object, row, count| {
            // SAFETY: likewise.
            unsafe { ffi::transformer_sequence_embedding(object, position, row, count) }
        })
    }

    /// The pooled vector [n_embd] of a sequence whose last position the last decode computed.
    pub fn pooled<'a>(&'a self, sequence: &'a Sequence) -> Result<Logits<'a>> {
        self.view(sequence, |object, row, count| {
            // SAFETY: likewise.
            unsafe { ffi::transformer_sequence_pooled(object, row, count) }
        })
    }

    /// The score [n_labels] of the model's head, likewise.
    pub fn score<'a>(&'a self, sequence: &'a Sequence) -> Result<Logits<'a>> {
        self.view(sequence, |object, row, count| {
            // SAFETY: likewise.
            unsafe { ffi::transformer_sequence_score(object, row, count) }
        })
    }

    /// Borrowed from the context, so that no decode runs, and from the sequence, so that it stays as it is.
    fn view<'a>(
        &'a self,
        sequence: &'a Sequence,
        call: impl FnOnce(*mut ffi::transformer_sequence, *mut *const f32, *mut i64) -> i32,
    ) -> Result<Logits<'a>> {
        if sequence.context != self.handle.get() as usize {
            return Err(crate::Error::invalid("the sequence is another context's"));
        }
        let (mut row, mut count) = (std::ptr::null(), 0);
        check(call(sequence.handle.get(), &mut row, &mut count))?;
        // SAFETY: valid until the context's next decode, or until the sequence is truncated or destroyed.
        Ok(unsafe { slice(row, count) })
    }
}

/// Cancels a context from another thread while it decodes; does nothing once the context is gone.
#[derive(Clone)]
pub struct Canceller(Weak<Handle<ffi::transformer_context>>);

impl Canceller {
    /// Stops the running decode, or else the next one.
    pub fn cancel(&self) {
        if let Some(handle) = self.0.upgrade() {
            // SAFETY: from any thread, of a context that lives.
            unsafe { ffi::transformer_context_cancel(handle.get()) }
        }
    }
}
