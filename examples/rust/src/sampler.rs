use crate::error::{check, Result};
use crate::ffi;
use crate::handle::{first, mode, sized, Handle};
use crate::model::Model;
use crate::sequence::Sequence;

/// How a token is chosen; zero leaves a filter out, and all zero is greedy.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct SamplerOptions<'a> {
    pub seed: u64,
    /// (token, what is added to its logit)
    pub logit_bias: &'a [(i32, f32)],
    pub penalty_window: i64,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub min_p: f32,
}

impl SamplerOptions<'_> {
    /// Calls with what points to the biases, which the library copies.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&ffi::transformer_sampler_options) -> T) -> T {
        let bias: Vec<_> =
            self.logit_bias.iter().map(|&(token, bias)| ffi::transformer_logit_bias { token, bias }).collect();
        let mut ours: ffi::transformer_sampler_options = sized();
        ours.seed = self.seed;
        ours.logit_bias = first(&bias);
        ours.n_logit_bias = bias.len() as i64;
        ours.penalty_window = self.penalty_window;
        ours.repetition_penalty = self.repetition_penalty;
        ours.frequency_penalty = self.frequency_penalty;
        ours.presence_penalty = self.presence_penalty;
        ours.temperature = self.temperature;
        ours.top_k = self.top_k;
        ours.top_p = self.top_p;
        ours.min_p = self.min_p;
        call(&ours)
    }
}

/// Turns logits into a token.
pub struct Sampler {
    pub(crate) handle: Handle<ffi::transformer_sampler>,
}

impl Model {
    /// A sampler for this model's vocabulary.
    pub fn sampler(&self, options: &SamplerOptions<'_>) -> Result<Sampler> {
        let handle = options.with(|ours| {
            // SAFETY: both live; biases are copied.
            Handle::make(ffi::transformer_sampler_destroy, |sampler| unsafe {
                ffi::transformer_sampler_create(self.handle.get(), ours, sampler)
            })
        })?;
        Ok(Sampler { handle })
    }
}

impl Sampler {
    /// A second sampler of the same options.
    pub fn try_clone(&self) -> Result<Self> {
        // SAFETY: both live.
        let handle = Handle::make(ffi::transformer_sampler_destroy, |clone| unsafe {
            ffi::transformer_sampler_clone(self.handle.get(), clone)
        })?;
        Ok(Self { handle })
    }

    /// The token after the sequence's last one, whose logits the last decode must have computed.
    pub fn sample(&self, sequence: &Sequence) -> Result<i32> {
        self.choose(sequence, false)
    }

    /// Likewise, and appends it.
    pub fn sample_and_append(&self, sequence: &mut Sequence) -> Result<i32> {
        self.choose(sequence, true)
    }

    fn choose(&self, sequence: &Sequence, append: bool) -> Result<i32> {
        let mut ours: ffi::transformer_sample_options = sized();
        ours.append = mode(Some(append));
        let mut token = 0;
        // SAFETY: all live.
        check(unsafe { ffi::transformer_sampler_sample(self.handle.get(), sequence.handle.get(), &ours, &mut token) })?;
        Ok(token)
    }
}
