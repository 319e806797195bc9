"""Names for the library's numbers, and what its calls tell, as Python has such things."""
from __future__ import annotations

import dataclasses
import enum
import os
from typing import TYPE_CHECKING, Any, Mapping, Optional, Protocol, Sequence as Tokens, Tuple, TypedDict, Union

from . import _header as c

if TYPE_CHECKING:
    from .context import Context
    from .grammar import Grammar
    from .model import Adapter, Model
    from .sampler import Sampler

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class WeightType(enum.IntEnum):
    """Types that weights can be quantized to; AS_IS leaves them as the file has them."""

    AS_IS = c.WEIGHTS_AS_IS
    F32 = c.WEIGHTS_F32
    F16 = c.WEIGHTS_F16
    BF16 = c.WEIGHTS_BF16
    Q4_0 = c.WEIGHTS_Q4_0
    Q4_1 = c.WEIGHTS_Q4_1
    Q5_0 = c.WEIGHTS_Q5_0
    Q5_1 = c.WEIGHTS_Q5_1
    Q8_0 = c.WEIGHTS_Q8_0
    Q2_K = c.WEIGHTS_Q2_K
    Q3_K = c.WEIGHTS_Q3_K
    Q4_K = c.WEIGHTS_Q4_K
    Q5_K = c.WEIGHTS_Q5_K
    Q6_K = c.WEIGHTS_Q6_K


class KVType(enum.IntEnum):
    """Types of the KV cache."""

    DEFAULT = c.KV_DEFAULT
    F32 = c.KV_F32
    F16 = c.KV_F16
    BF16 = c.KV_BF16
    Q8_0 = c.KV_Q8_0


class Pooling(enum.IntEnum):
    """How the hidden states of a sequence become one vector."""

    DEFAULT = c.POOLING_DEFAULT
    NONE = c.POOLING_NONE
    MEAN = c.POOLING_MEAN
    FIRST = c.POOLING_FIRST
    LAST = c.POOLING_LAST


class SpecialToken(enum.IntEnum):
    """Tokens with a part to play."""

    BEGIN = c.TOKEN_BEGIN
    END = c.TOKEN_END
    END_OF_TURN = c.TOKEN_END_OF_TURN
    UNKNOWN = c.TOKEN_UNKNOWN
    SEPARATOR = c.TOKEN_SEPARATOR
    PADDING = c.TOKEN_PADDING
    CLASSIFY = c.TOKEN_CLASSIFY
    MASK = c.TOKEN_MASK
    START = c.TOKEN_START


class Logits(enum.IntEnum):
    """Of which of the tokens that are appended the logits are kept."""

    LAST = c.LOGITS_LAST
    NONE = c.LOGITS_NONE
    ALL = c.LOGITS_ALL


class Load(enum.IntEnum):
    """How a model's file is read."""

    MAP = c.LOAD_MAP
    READ = c.LOAD_READ


class LogLevel(enum.IntEnum):
    """Levels of log lines."""

    ERROR = c.LOG_ERROR
    WARNING = c.LOG_WARNING
    INFO = c.LOG_INFO


class FinishReason(enum.IntEnum):
    """Why a generation ended: the model's end token, max_tokens, a full context, because it was closed, or a stop
    string."""

    END = c.FINISH_END
    LENGTH = c.FINISH_LENGTH
    CONTEXT = c.FINISH_CONTEXT
    STOPPED = c.FINISH_STOPPED
    STOP_STRING = 5


class Match(enum.IntEnum):
    """How a text stands to a grammar: none of its texts begins with this; one does; it is one."""

    NONE = 0
    PREFIX = 1
    WHOLE = 2


class Log(Protocol):
    """Gets each line of a log, in the thread of the call that it is about."""

    def __call__(self, level: LogLevel, line: str) -> None: ...


class Progress(Protocol):
    """Told how many of all bytes are loaded. True stops: the call raises `Cancelled`."""

    def __call__(self, done: int, total: int) -> Optional[bool]: ...


class Reader(Protocol):
    """Where a model's files come from when they are not in the file system."""

    def size(self, name: str) -> Optional[int]:
        """Bytes of the file; None where there is no such file."""

    def read(self, name: str, offset: int, n: int) -> Union[bytes, bytearray, memoryview]:
        """n bytes at offset; fewer are an error."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a model is: transformer_model_details of the C header, member by member."""

    format: str
    architecture: str
    name: str
    weight_types: str
    end_tokens: Tuple[int, ...]
    n_vocab: int
    n_embd: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    context_length: int
    n_parameters: int
    file_bytes: int
    weight_bytes: int
    weight_bytes_per_token: int
    host_bytes: int
    has_tokenizer: bool
    device: int
    n_token_types: int
    n_labels: int
    has_logits: bool
    pooling: Pooling
    pooling_normalize: bool
    needs_source: bool
    start_token: int
    n_source_vocab: int
    source_context_length: int


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """What opening a model and creating a context would take: transformer_memory_estimate."""

    model_host_bytes: int
    model_mapped_bytes: int
    context_host_bytes: int
    context_kv_bytes: int
    sequence_host_bytes: int
    device_bytes: int
    source_host_bytes: int


@dataclasses.dataclass(frozen=True)
class ContextStats:
    """A context's counts: transformer_context_statistics."""

    host_bytes: int
    kv_bytes: int
    kv_pages: int
    kv_pages_free: int
    kv_page_tokens: int
    n_sequences: int
    pending_tokens: int
    steps: int
    rows: int
    n_threads: int
    max_sequence_tokens: int
    max_step_tokens: int
    max_logit_rows: int
    max_source_tokens: int
    kv_pages_cached: int
    prefix_lookups: int
    prefix_hit_tokens: int
    prefix_evicted_pages: int
    n_preempted: int
    step_nanoseconds: int
    step_nanoseconds_median: int
    step_nanoseconds_p99: int
    n_proposed: int
    n_accepted: int


@dataclasses.dataclass(frozen=True)
class LogProbabilities:
    """What the model gives to tokens after a position: natural logarithms, before anything a sampler does.

    values  of the tokens that were asked for
    top     the likeliest tokens and theirs, likeliest first
    """

    values: Tuple[float, ...]
    top: Tuple[Tuple[int, float], ...]


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What a decode step did: transformer_decode_result."""

    n_rows: int
    n_ready: int
    n_pending: int
    n_refused: int
    n_sampled: int
    n_preempted: int = 0
    n_proposed: int = 0
    n_accepted: int = 0


@dataclasses.dataclass(frozen=True)
class Device:
    """A device: 0 is the CPU, GPUs that can be used follow. transformer_device_details."""

    index: int
    kind: str
    name: str
    path: str
    memory_bytes: int
    n_processors: int


class ModelOptions(TypedDict, total=False):
    """How a model is opened. See transformer_model_options of the C header."""

    device: int
    load: Load
    cpu_amx: bool
    weight_type: WeightType
    progress: Progress
    log: Log


class ContextOptions(TypedDict, total=False):
    """Sizes of a context; 0 or left out is the library's default. See transformer_context_options of the C header."""

    max_sequence_tokens: int
    kv_tokens: int
    max_sequences: int
    max_step_tokens: int
    max_logit_rows: int
    max_source_tokens: int
    n_threads: int
    kv_type: KVType
    pooling: Pooling
    pooling_normalize: bool
    prefix_cache: bool
    preemption: bool
    log: Log


class SamplingOptions(TypedDict, total=False):
    """How tokens are chosen; what is left out isn't applied, and without a temperature it is the likeliest token.
    See transformer_sampler_options of the C header."""

    seed: int
    logit_bias: Mapping[int, float]
    penalty_window: int
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    temperature: float
    top_k: int
    top_p: float
    min_p: float


class SequenceOptions(TypedDict, total=False):
    """What a sequence is created with.

    sampler        when a decode computes the last position, this chooses the next token and queues it, to be read
                   from `tokens`. It must be the only sequence to use the sampler while decoding
    stream         names the sequence's random numbers
    adapter        a LoRA adapter of the model, for it and its forks
    adapter_scale  times the adapter's own scale; default 1
    cache_domain   pages are reused only among sequences of the same domain; default 0
    priority       higher goes first, and keeps its pages longer; default 0
    lookup_tokens  tokens that prompt lookup may propose in a step; needs a sampler; default none
    """

    sampler: Sampler
    stream: int
    adapter: Adapter
    adapter_scale: float
    cache_domain: int
    priority: int
    lookup_tokens: int


class GenerateOptions(SamplingOptions, total=False):
    """A generation: how its tokens are chosen, and

    max_tokens      generated ones; 0: until the model ends or the context is full
    stream          names its random numbers
    adapter         a LoRA adapter of the model, applied adapter_scale times
    add_special     begin and end tokens as the model wants them; default: yes, in a chat no
    parse_special   control tokens written out in the prompt become those tokens; default: no, in a chat yes
    answer          of an encoder-decoder, whose source the prompt is: tokens after its start token
    stop            strings that end the text; what comes before the first of them is given
    grammar         the text is one of this grammar
    close           within max_tokens it is brought to its end; without, it may be cut
    cache_domain, priority, lookup_tokens   as of a sequence
    draft           a smaller model of the same vocabulary, or a context of one, that guesses the tokens: the same text,
                    sooner where it is much faster and guesses well. It needs max_logit_rows of the context above 1
    """

    max_tokens: int
    stream: int
    adapter: Adapter
    adapter_scale: float
    stop: Tokens[str]
    grammar: Grammar
    close: bool
    cache_domain: int
    priority: int
    lookup_tokens: int
    draft: Union[Model, Context]
    add_special: bool
    parse_special: bool
    answer: Tokens[int]


class ChatOptions(GenerateOptions, total=False):
    """A generation, and what the chat template is given. See transformer_chat_options of the C header."""

    tools: Tokens[Mapping[str, Any]]
    documents: Tokens[Mapping[str, Any]]
    variables: Mapping[str, Any]
    template_name: str
    template_text: str
    local_time: int
    add_generation_prompt: bool


SAMPLING = frozenset(SamplingOptions.__annotations__)
TEMPLATE = frozenset(ChatOptions.__annotations__) - frozenset(GenerateOptions.__annotations__)
