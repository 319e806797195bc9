"""The structs, constants and calls of transformer.h; made by make_header.py."""
from __future__ import annotations

import ctypes
from typing import Any, Dict, List, Optional, Tuple, Type

c_char_p, c_float, c_int32, c_int64 = ctypes.c_char_p, ctypes.c_float, ctypes.c_int32, ctypes.c_int64
c_uint8, c_uint32, c_uint64, c_void_p = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class Sized(ctypes.Structure):
    """An options or output struct: zero but for its size and what the caller names."""

    struct_size: int

    def __init__(self, **values: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(self), **values)


VERSION = "0.1.0"

OK = 0
INVALID_ARGUMENT = 1
OUT_OF_MEMORY = 2
IO = 3
FORMAT = 4
UNSUPPORTED = 5
LIMIT = 6
CANCELLED = 7
DEVICE = 8
NOT_FOUND = 9
BUFFER_TOO_SMALL = 10
STATE = 11
BUSY = 12
INTERNAL = 13
DEFAULT = 0
OFF = 1
ON = 2
LOG_ERROR = 1
LOG_WARNING = 2
LOG_INFO = 3
LOAD_MAP = 0
LOAD_READ = 1
WEIGHTS_AS_IS = 0
WEIGHTS_F32 = 1
WEIGHTS_F16 = 2
WEIGHTS_BF16 = 3
WEIGHTS_Q4_0 = 4
WEIGHTS_Q4_1 = 5
WEIGHTS_Q5_0 = 6
WEIGHTS_Q5_1 = 7
WEIGHTS_Q8_0 = 8
WEIGHTS_Q2_K = 9
WEIGHTS_Q3_K = 10
WEIGHTS_Q4_K = 11
WEIGHTS_Q5_K = 12
WEIGHTS_Q6_K = 13
TOKEN_BEGIN = 1
TOKEN_END = 2
TOKEN_END_OF_TURN = 3
TOKEN_UNKNOWN = 4
TOKEN_SEPARATOR = 5
TOKEN_PADDING = 6
TOKEN_CLASSIFY = 7
TOKEN_MASK = 8
TOKEN_START = 9
KV_DEFAULT = 0
KV_F32 = 1
KV_F16 = 2
KV_BF16 = 3
KV_Q8_0 = 4
POOLING_DEFAULT = 0
POOLING_NONE = 1
POOLING_MEAN = 2
POOLING_FIRST = 3
POOLING_LAST = 4
LOGITS_LAST = 0
LOGITS_NONE = 1
LOGITS_ALL = 2
MATCH_NONE = 0
MATCH_PREFIX = 1
MATCH_WHOLE = 2
FINISH_END = 1
FINISH_LENGTH = 2
FINISH_CONTEXT = 3
FINISH_STOPPED = 4
FINISH_STOP_STRING = 5

LogFunction = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
ProgressFunction = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)
TextFunction = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint64)


class DeviceDetails(Sized):
    """transformer_device_details"""

    kind: Optional[bytes]
    name: Optional[bytes]
    path: Optional[bytes]
    memory_bytes: int
    n_processors: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("kind", c_char_p),
        ("name", c_char_p),
        ("path", c_char_p),
        ("memory_bytes", c_uint64),
        ("n_processors", c_uint64),
    ]

AllocatorAllocateFunction = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_uint64, c_uint64)
AllocatorReleaseFunction = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_uint64)


class Allocator(ctypes.Structure):
    """transformer_allocator"""

    allocate: Any
    release: Any
    user: Any

    _fields_ = [
        ("allocate", AllocatorAllocateFunction),
        ("release", AllocatorReleaseFunction),
        ("user", c_void_p),
    ]

ReaderSizeFunction = ctypes.CFUNCTYPE(c_int64, c_void_p, c_char_p)
ReaderReadFunction = ctypes.CFUNCTYPE(c_int64, c_void_p, c_char_p, c_uint64, c_void_p, c_uint64)


class Reader(ctypes.Structure):
    """transformer_reader"""

    size: Any
    read: Any
    user: Any

    _fields_ = [
        ("size", ReaderSizeFunction),
        ("read", ReaderReadFunction),
        ("user", c_void_p),
    ]

ExecutorRunFunction = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_void_p)


class Executor(ctypes.Structure):
    """transformer_executor"""

    run: Any
    user: Any
    n_concurrent: int
    reserved: int

    _fields_ = [
        ("run", ExecutorRunFunction),
        ("user", c_void_p),
        ("n_concurrent", c_int32),
        ("reserved", c_int32),
    ]


class ModelOptions(Sized):
    """transformer_model_options"""

    path: Optional[bytes]
    data: Any
    data_size: int
    reader: Any
    allocator: Any
    progress: Any
    progress_user: Any
    log: Any
    log_user: Any
    device: int
    load_mode: int
    copy: int
    cpu_amx: int
    weight_type: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("path", c_char_p),
        ("data", c_void_p),
        ("data_size", c_uint64),
        ("reader", ctypes.POINTER(Reader)),
        ("allocator", ctypes.POINTER(Allocator)),
        ("progress", ProgressFunction),
        ("progress_user", c_void_p),
        ("log", LogFunction),
        ("log_user", c_void_p),
        ("device", c_int32),
        ("load_mode", c_uint32),
        ("copy", c_uint32),
        ("cpu_amx", c_uint32),
        ("weight_type", c_uint32),
        ("reserved", c_uint32),
    ]

ConvertOptionsWriteFunction = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint64)


class ConvertOptions(Sized):
    """transformer_convert_options"""

    model: Any
    write: Any
    write_user: Any

    _fields_ = [
        ("struct_size", c_uint64),
        ("model", ctypes.POINTER(ModelOptions)),
        ("write", ConvertOptionsWriteFunction),
        ("write_user", c_void_p),
    ]


class ModelDetails(Sized):
    """transformer_model_details"""

    format: Optional[bytes]
    architecture: Optional[bytes]
    name: Optional[bytes]
    weight_types: Optional[bytes]
    end_tokens: Any
    n_end_tokens: int
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
    has_tokenizer: int
    device: int
    n_token_types: int
    n_labels: int
    has_logits: int
    pooling: int
    pooling_normalize: int
    reserved: int
    needs_source: int
    start_token: int
    n_source_vocab: int
    source_context_length: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("format", c_char_p),
        ("architecture", c_char_p),
        ("name", c_char_p),
        ("weight_types", c_char_p),
        ("end_tokens", ctypes.POINTER(c_int32)),
        ("n_end_tokens", c_int64),
        ("n_vocab", c_int64),
        ("n_embd", c_int64),
        ("n_layers", c_int64),
        ("n_heads", c_int64),
        ("n_kv_heads", c_int64),
        ("head_dim", c_int64),
        ("context_length", c_int64),
        ("n_parameters", c_int64),
        ("file_bytes", c_uint64),
        ("weight_bytes", c_uint64),
        ("weight_bytes_per_token", c_uint64),
        ("host_bytes", c_uint64),
        ("has_tokenizer", c_uint32),
        ("device", c_int32),
        ("n_token_types", c_int64),
        ("n_labels", c_int64),
        ("has_logits", c_uint32),
        ("pooling", c_uint32),
        ("pooling_normalize", c_uint32),
        ("reserved", c_uint32),
        ("needs_source", c_uint32),
        ("start_token", c_int32),
        ("n_source_vocab", c_int64),
        ("source_context_length", c_int64),
    ]


class TokenizeOptions(Sized):
    """transformer_tokenize_options"""

    add_special: int
    parse_special: int
    second: Optional[bytes]
    second_length: int
    types: Any

    _fields_ = [
        ("struct_size", c_uint64),
        ("add_special", c_uint32),
        ("parse_special", c_uint32),
        ("second", c_char_p),
        ("second_length", c_int64),
        ("types", ctypes.POINTER(c_int32)),
    ]


class DetokenizeOptions(Sized):
    """transformer_detokenize_options"""

    special: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("special", c_uint32),
        ("reserved", c_uint32),
    ]


class TextStreamOptions(Sized):
    """transformer_text_stream_options"""

    special: int
    reserved: int
    stop: Any
    n_stop: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("special", c_uint32),
        ("reserved", c_uint32),
        ("stop", ctypes.POINTER(c_void_p)),
        ("n_stop", c_int64),
    ]


class ContextOptions(Sized):
    """transformer_context_options"""

    max_sequence_tokens: int
    kv_tokens: int
    max_sequences: int
    max_step_tokens: int
    max_logit_rows: int
    allocator: Any
    executor: Any
    log: Any
    log_user: Any
    n_threads: int
    kv_type: int
    pooling: int
    pooling_normalize: int
    max_source_tokens: int
    prefix_cache: int
    preemption: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("max_sequence_tokens", c_int64),
        ("kv_tokens", c_int64),
        ("max_sequences", c_int64),
        ("max_step_tokens", c_int64),
        ("max_logit_rows", c_int64),
        ("allocator", ctypes.POINTER(Allocator)),
        ("executor", ctypes.POINTER(Executor)),
        ("log", LogFunction),
        ("log_user", c_void_p),
        ("n_threads", c_int32),
        ("kv_type", c_uint32),
        ("pooling", c_uint32),
        ("pooling_normalize", c_uint32),
        ("max_source_tokens", c_int64),
        ("prefix_cache", c_uint32),
        ("preemption", c_uint32),
    ]


class MemoryEstimate(Sized):
    """transformer_memory_estimate"""

    model_host_bytes: int
    model_mapped_bytes: int
    context_host_bytes: int
    context_kv_bytes: int
    sequence_host_bytes: int
    device_bytes: int
    source_host_bytes: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("model_host_bytes", c_uint64),
        ("model_mapped_bytes", c_uint64),
        ("context_host_bytes", c_uint64),
        ("context_kv_bytes", c_uint64),
        ("sequence_host_bytes", c_uint64),
        ("device_bytes", c_uint64),
        ("source_host_bytes", c_uint64),
    ]


class ContextStatistics(Sized):
    """transformer_context_statistics"""

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

    _fields_ = [
        ("struct_size", c_uint64),
        ("host_bytes", c_uint64),
        ("kv_bytes", c_uint64),
        ("kv_pages", c_int64),
        ("kv_pages_free", c_int64),
        ("kv_page_tokens", c_int64),
        ("n_sequences", c_int64),
        ("pending_tokens", c_int64),
        ("steps", c_uint64),
        ("rows", c_uint64),
        ("n_threads", c_int64),
        ("max_sequence_tokens", c_int64),
        ("max_step_tokens", c_int64),
        ("max_logit_rows", c_int64),
        ("max_source_tokens", c_int64),
        ("kv_pages_cached", c_int64),
        ("prefix_lookups", c_uint64),
        ("prefix_hit_tokens", c_uint64),
        ("prefix_evicted_pages", c_uint64),
        ("n_preempted", c_uint64),
        ("step_nanoseconds", c_uint64),
        ("step_nanoseconds_median", c_uint64),
        ("step_nanoseconds_p99", c_uint64),
        ("n_proposed", c_uint64),
        ("n_accepted", c_uint64),
    ]


class LogitBias(ctypes.Structure):
    """transformer_logit_bias"""

    token: int
    bias: float

    _fields_ = [
        ("token", c_int32),
        ("bias", c_float),
    ]


class SamplerOptions(Sized):
    """transformer_sampler_options"""

    seed: int
    logit_bias: Any
    n_logit_bias: int
    penalty_window: int
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("seed", c_uint64),
        ("logit_bias", ctypes.POINTER(LogitBias)),
        ("n_logit_bias", c_int64),
        ("penalty_window", c_int64),
        ("repetition_penalty", c_float),
        ("frequency_penalty", c_float),
        ("presence_penalty", c_float),
        ("temperature", c_float),
        ("top_k", c_int32),
        ("top_p", c_float),
        ("min_p", c_float),
        ("reserved", c_uint32),
    ]


class SampleOptions(Sized):
    """transformer_sample_options"""

    append: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("append", c_uint32),
        ("reserved", c_uint32),
    ]


class AdapterOptions(Sized):
    """transformer_adapter_options"""

    path: Optional[bytes]
    reader: Any

    _fields_ = [
        ("struct_size", c_uint64),
        ("path", c_char_p),
        ("reader", ctypes.POINTER(Reader)),
    ]


class SequenceOptions(Sized):
    """transformer_sequence_options"""

    sampler: Any
    stream: int
    adapter: Any
    adapter_scale: float
    reserved: int
    cache_domain: int
    priority: int
    lookup_tokens: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("sampler", c_void_p),
        ("stream", c_uint64),
        ("adapter", c_void_p),
        ("adapter_scale", c_float),
        ("reserved", c_uint32),
        ("cache_domain", c_uint64),
        ("priority", c_int32),
        ("lookup_tokens", c_uint32),
    ]


class AppendOptions(Sized):
    """transformer_append_options"""

    keep: Any
    logits: int
    token_type: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("keep", ctypes.POINTER(c_uint8)),
        ("logits", c_uint32),
        ("token_type", c_uint32),
    ]


class SourceOptions(Sized):
    """transformer_source_options"""

    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("reserved", c_uint64),
    ]


class ForkOptions(Sized):
    """transformer_fork_options"""

    sampler: Any
    stream: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("sampler", c_void_p),
        ("stream", c_uint64),
    ]


class DecodeOptions(Sized):
    """transformer_decode_options"""

    max_tokens: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("max_tokens", c_int64),
    ]


class DecodeResult(Sized):
    """transformer_decode_result"""

    n_rows: int
    n_ready: int
    n_pending: int
    n_refused: int
    n_sampled: int
    n_preempted: int
    n_proposed: int
    n_accepted: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("n_rows", c_int64),
        ("n_ready", c_int64),
        ("n_pending", c_int64),
        ("n_refused", c_int64),
        ("n_sampled", c_int64),
        ("n_preempted", c_int64),
        ("n_proposed", c_int64),
        ("n_accepted", c_int64),
    ]


class TokenProbability(ctypes.Structure):
    """transformer_token_probability"""

    token: int
    log_probability: float

    _fields_ = [
        ("token", c_int32),
        ("log_probability", c_float),
    ]

SaveOptionsWriteFunction = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint64)


class SaveOptions(Sized):
    """transformer_save_options"""

    write: Any
    write_user: Any
    buffer: Any
    capacity: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("write", SaveOptionsWriteFunction),
        ("write_user", c_void_p),
        ("buffer", c_void_p),
        ("capacity", c_uint64),
    ]

RestoreOptionsReadFunction = ctypes.CFUNCTYPE(c_int64, c_void_p, c_void_p, c_uint64)


class RestoreOptions(Sized):
    """transformer_restore_options"""

    data: Any
    data_size: int
    read: Any
    read_user: Any
    sequence: Any

    _fields_ = [
        ("struct_size", c_uint64),
        ("data", c_void_p),
        ("data_size", c_uint64),
        ("read", RestoreOptionsReadFunction),
        ("read_user", c_void_p),
        ("sequence", ctypes.POINTER(SequenceOptions)),
    ]


class GrammarOptions(Sized):
    """transformer_grammar_options"""

    json_schema: Optional[bytes]
    regex: Optional[bytes]
    ebnf: Optional[bytes]
    whitespace: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("json_schema", c_char_p),
        ("regex", c_char_p),
        ("ebnf", c_char_p),
        ("whitespace", c_uint32),
        ("reserved", c_uint32),
    ]


class ConstraintOptions(Sized):
    """transformer_constraint_options"""

    max_tokens: int
    close: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("max_tokens", c_int64),
        ("close", c_uint32),
        ("reserved", c_uint32),
    ]


class GenerateOptions(Sized):
    """transformer_generate_options"""

    prompt: Optional[bytes]
    prompt_length: int
    tokens: Any
    n_tokens: int
    sampler: Any
    max_tokens: int
    add_special: int
    parse_special: int
    answer: Any
    n_answer: int
    stop: Any
    n_stop: int
    lookup_tokens: int
    reserved: int
    draft: Any
    grammar: Any
    constraint: Any

    _fields_ = [
        ("struct_size", c_uint64),
        ("prompt", c_char_p),
        ("prompt_length", c_int64),
        ("tokens", ctypes.POINTER(c_int32)),
        ("n_tokens", c_int64),
        ("sampler", ctypes.POINTER(SamplerOptions)),
        ("max_tokens", c_int64),
        ("add_special", c_uint32),
        ("parse_special", c_uint32),
        ("answer", ctypes.POINTER(c_int32)),
        ("n_answer", c_int64),
        ("stop", ctypes.POINTER(c_void_p)),
        ("n_stop", c_int64),
        ("lookup_tokens", c_uint32),
        ("reserved", c_uint32),
        ("draft", c_void_p),
        ("grammar", c_void_p),
        ("constraint", ctypes.POINTER(ConstraintOptions)),
    ]


class GenerateResult(Sized):
    """transformer_generate_result"""

    n_prompt_tokens: int
    n_generated_tokens: int
    prompt_nanoseconds: int
    generate_nanoseconds: int
    finish_reason: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("n_prompt_tokens", c_int64),
        ("n_generated_tokens", c_int64),
        ("prompt_nanoseconds", c_uint64),
        ("generate_nanoseconds", c_uint64),
        ("finish_reason", c_int32),
        ("reserved", c_int32),
    ]


class ChatMessage(ctypes.Structure):
    """transformer_chat_message"""

    role: Optional[bytes]
    content: Optional[bytes]

    _fields_ = [
        ("role", c_char_p),
        ("content", c_char_p),
    ]


class ChatOptions(Sized):
    """transformer_chat_options"""

    messages: Any
    n_messages: int
    messages_json: Optional[bytes]
    tools_json: Optional[bytes]
    documents_json: Optional[bytes]
    variables_json: Optional[bytes]
    template_name: Optional[bytes]
    template_text: Optional[bytes]
    local_time: int
    add_generation_prompt: int
    reserved: int

    _fields_ = [
        ("struct_size", c_uint64),
        ("messages", ctypes.POINTER(ChatMessage)),
        ("n_messages", c_int64),
        ("messages_json", c_char_p),
        ("tools_json", c_char_p),
        ("documents_json", c_char_p),
        ("variables_json", c_char_p),
        ("template_name", c_char_p),
        ("template_text", c_char_p),
        ("local_time", c_int64),
        ("add_generation_prompt", c_uint32),
        ("reserved", c_uint32),
    ]


# C name of each struct that is here
STRUCTS: Dict[str, Type[ctypes.Structure]] = {
    "transformer_device_details": DeviceDetails,
    "transformer_allocator": Allocator,
    "transformer_reader": Reader,
    "transformer_executor": Executor,
    "transformer_model_options": ModelOptions,
    "transformer_convert_options": ConvertOptions,
    "transformer_model_details": ModelDetails,
    "transformer_tokenize_options": TokenizeOptions,
    "transformer_detokenize_options": DetokenizeOptions,
    "transformer_text_stream_options": TextStreamOptions,
    "transformer_context_options": ContextOptions,
    "transformer_memory_estimate": MemoryEstimate,
    "transformer_context_statistics": ContextStatistics,
    "transformer_logit_bias": LogitBias,
    "transformer_sampler_options": SamplerOptions,
    "transformer_sample_options": SampleOptions,
    "transformer_adapter_options": AdapterOptions,
    "transformer_sequence_options": SequenceOptions,
    "transformer_append_options": AppendOptions,
    "transformer_source_options": SourceOptions,
    "transformer_fork_options": ForkOptions,
    "transformer_decode_options": DecodeOptions,
    "transformer_decode_result": DecodeResult,
    "transformer_token_probability": TokenProbability,
    "transformer_save_options": SaveOptions,
    "transformer_restore_options": RestoreOptions,
    "transformer_grammar_options": GrammarOptions,
    "transformer_constraint_options": ConstraintOptions,
    "transformer_generate_options": GenerateOptions,
    "transformer_generate_result": GenerateResult,
    "transformer_chat_message": ChatMessage,
    "transformer_chat_options": ChatOptions,
}

# name: what it returns, its arguments
FUNCTIONS: Dict[str, Tuple[Optional[Any], List[Any]]] = {
    "transformer_status_name": (c_char_p, [c_int32]),
    "transformer_last_error": (c_char_p, []),
    "transformer_version": (c_uint32, []),
    "transformer_version_string": (c_char_p, []),
    "transformer_build_info": (c_char_p, []),
    "transformer_device_count": (c_int32, []),
    "transformer_device_info": (c_int32, [c_int32, ctypes.POINTER(DeviceDetails)]),
    "transformer_model_open": (c_int32, [ctypes.POINTER(ModelOptions), ctypes.POINTER(c_void_p)]),
    "transformer_model_convert": (c_int32, [ctypes.POINTER(ConvertOptions)]),
    "transformer_model_info": (c_int32, [c_void_p, ctypes.POINTER(ModelDetails)]),
    "transformer_model_metadata": (c_int32, [c_void_p, c_char_p, c_void_p, c_int64, ctypes.POINTER(c_int64)]),
    "transformer_model_retain": (c_void_p, [c_void_p]),
    "transformer_model_close": (None, [c_void_p]),
    "transformer_tokenize": (c_int32, [c_void_p, c_char_p, c_int64, ctypes.POINTER(TokenizeOptions), ctypes.POINTER(c_int32), c_int64, ctypes.POINTER(c_int64)]),
    "transformer_detokenize": (c_int32, [c_void_p, ctypes.POINTER(c_int32), c_int64, ctypes.POINTER(DetokenizeOptions), c_void_p, c_int64, ctypes.POINTER(c_int64)]),
    "transformer_token_text": (c_int32, [c_void_p, c_int32, c_void_p, c_int64, ctypes.POINTER(c_int64)]),
    "transformer_special_token": (c_int32, [c_void_p, c_int32, ctypes.POINTER(c_int32)]),
    "transformer_text_stream_create": (c_int32, [c_void_p, ctypes.POINTER(TextStreamOptions), ctypes.POINTER(c_void_p)]),
    "transformer_text_stream_push": (c_int32, [c_void_p, c_int32, ctypes.POINTER(c_void_p), ctypes.POINTER(c_int64)]),
    "transformer_text_stream_finish": (c_int32, [c_void_p, ctypes.POINTER(c_void_p), ctypes.POINTER(c_int64)]),
    "transformer_text_stream_stopped": (c_int32, [c_void_p]),
    "transformer_text_stream_destroy": (None, [c_void_p]),
    "transformer_model_estimate": (c_int32, [ctypes.POINTER(ModelOptions), ctypes.POINTER(ContextOptions), ctypes.POINTER(MemoryEstimate)]),
    "transformer_context_create": (c_int32, [c_void_p, ctypes.POINTER(ContextOptions), ctypes.POINTER(c_void_p)]),
    "transformer_context_destroy": (None, [c_void_p]),
    "transformer_context_cancel": (None, [c_void_p]),
    "transformer_context_stats": (c_int32, [c_void_p, ctypes.POINTER(ContextStatistics)]),
    "transformer_sampler_create": (c_int32, [c_void_p, ctypes.POINTER(SamplerOptions), ctypes.POINTER(c_void_p)]),
    "transformer_sampler_clone": (c_int32, [c_void_p, ctypes.POINTER(c_void_p)]),
    "transformer_sampler_destroy": (None, [c_void_p]),
    "transformer_sampler_sample": (c_int32, [c_void_p, c_void_p, ctypes.POINTER(SampleOptions), ctypes.POINTER(c_int32)]),
    "transformer_adapter_open": (c_int32, [c_void_p, ctypes.POINTER(AdapterOptions), ctypes.POINTER(c_void_p)]),
    "transformer_adapter_close": (None, [c_void_p]),
    "transformer_sequence_create": (c_int32, [c_void_p, ctypes.POINTER(SequenceOptions), ctypes.POINTER(c_void_p)]),
    "transformer_sequence_destroy": (None, [c_void_p]),
    "transformer_sequence_set_priority": (c_int32, [c_void_p, c_int32]),
    "transformer_sequence_append": (c_int32, [c_void_p, ctypes.POINTER(c_int32), c_int64, ctypes.POINTER(AppendOptions)]),
    "transformer_sequence_set_source": (c_int32, [c_void_p, ctypes.POINTER(c_int32), c_int64, ctypes.POINTER(SourceOptions)]),
    "transformer_sequence_fork": (c_int32, [c_void_p, ctypes.POINTER(ForkOptions), ctypes.POINTER(c_void_p)]),
    "transformer_sequence_truncate": (c_int32, [c_void_p, c_int64]),
    "transformer_sequence_tokens": (c_int32, [c_void_p, ctypes.POINTER(c_int32), c_int64, ctypes.POINTER(c_int64), ctypes.POINTER(c_int64)]),
    "transformer_sequence_propose": (c_int32, [c_void_p, ctypes.POINTER(c_int32), c_int64]),
    "transformer_decode": (c_int32, [c_void_p, ctypes.POINTER(DecodeOptions), ctypes.POINTER(DecodeResult)]),
    "transformer_sequence_logits": (c_int32, [c_void_p, c_int64, ctypes.POINTER(c_void_p), ctypes.POINTER(c_int64)]),
    "transformer_sequence_log_probabilities": (c_int32, [c_void_p, c_int64, ctypes.POINTER(c_int32), c_int64, ctypes.POINTER(c_float), ctypes.POINTER(TokenProbability), c_int64]),
    "transformer_sequence_embedding": (c_int32, [c_void_p, c_int64, ctypes.POINTER(c_void_p), ctypes.POINTER(c_int64)]),
    "transformer_sequence_pooled": (c_int32, [c_void_p, ctypes.POINTER(c_void_p), ctypes.POINTER(c_int64)]),
    "transformer_sequence_score": (c_int32, [c_void_p, ctypes.POINTER(c_void_p), ctypes.POINTER(c_int64)]),
    "transformer_sequence_save": (c_int32, [c_void_p, ctypes.POINTER(SaveOptions), ctypes.POINTER(c_uint64)]),
    "transformer_sequence_restore": (c_int32, [c_void_p, ctypes.POINTER(RestoreOptions), ctypes.POINTER(c_void_p)]),
    "transformer_grammar_create": (c_int32, [c_void_p, ctypes.POINTER(GrammarOptions), ctypes.POINTER(c_void_p)]),
    "transformer_grammar_destroy": (None, [c_void_p]),
    "transformer_grammar_match": (c_int32, [c_void_p, c_char_p, c_int64, ctypes.POINTER(c_int32)]),
    "transformer_sequence_constrain": (c_int32, [c_void_p, c_void_p, ctypes.POINTER(ConstraintOptions)]),
    "transformer_generate": (c_int32, [c_void_p, ctypes.POINTER(GenerateOptions), TextFunction, c_void_p, ctypes.POINTER(GenerateResult)]),
    "transformer_chat_format": (c_int32, [c_void_p, ctypes.POINTER(ChatOptions), c_void_p, c_int64, ctypes.POINTER(c_int64)]),
}
