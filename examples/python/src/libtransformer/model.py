"""Models: opened, asked, tokenizing, and what they do in one call."""
from __future__ import annotations

import ctypes
import json
import os
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Sequence as Tokens, Tuple, Union, cast

import numpy as np
import numpy.typing as npt

from . import _header as c
from . import errors
from ._callbacks import Callbacks
from ._handle import Handle
from ._library import (LIBRARY, Text, c_string, call, check, create, fields, file_name, int32_pointer, integer, mode,
                       read_text, struct, token_array, utf8)
from .context import Context, context_options
from .options import Load, MemoryEstimate, ModelInfo, Path, Pooling, Reader, SpecialToken, WeightType

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .generation import Generation
    from .options import ChatOptions, ContextOptions, GenerateOptions, ModelOptions

    Options = Mapping[str, Any]

FloatArray = npt.NDArray[np.float32]

# Texts that `embed` and `rerank` compute in one step, and tokens where none of them is longer.
BATCH_TEXTS, BATCH_TOKENS = 16, 512


def _model_options(options: Mapping[str, Any], callbacks: Callbacks) -> c.ModelOptions:
    """The library's struct for keyword arguments, without where the file is."""
    values = dict(options)
    return struct(c.ModelOptions, device=values.pop("device", 0), load_mode=values.pop("load", Load.MAP),
                  weight_type=values.pop("weight_type", WeightType.AS_IS), cpu_amx=mode(values.pop("cpu_amx", None)),
                  progress=callbacks.progress(values.pop("progress", None)), log=callbacks.log(values.pop("log", None)),
                  **values)


class Model(Handle):
    """Weights and tokenizer, immutable: any number of threads and contexts may use one at once."""

    def __init__(self, path: Path, **options: Unpack[ModelOptions]) -> None:
        """path         a GGUF file, the first part of a split one, or a Hugging Face folder
        device       0: the CPU; 1 and up: GPUs (`devices()`)
        load         map the file, which must not shrink meanwhile, or read it
        cpu_amx      let the CPU's kernels use AMX
        weight_type  quantize matrices to this type while loading
        progress     called with the bytes that are loaded and all bytes; True stops
        log          called with each line of the log
        """
        callbacks = Callbacks()
        made = _model_options(options, callbacks)
        made.path = file_name(path)
        self._open(made, callbacks)

    @classmethod
    def from_bytes(cls, data: Union[bytes, bytearray, memoryview, npt.NDArray[Any]], *, name: str = "",
                   copy: bool = False, **options: Unpack[ModelOptions]) -> Model:
        """A GGUF file in memory, which the model goes on using unless it is copied.

        name  what messages call it
        """
        flat = np.frombuffer(data, np.uint8)
        callbacks = Callbacks()
        made = _model_options(options, callbacks)
        made.path = c_string("name", name) if name else None
        made.data, made.data_size = flat.ctypes.data, flat.size
        made.copy = c.ON if copy else c.OFF
        model = cls.__new__(cls)
        model._open(made, callbacks, None if copy else flat)
        return model

    @classmethod
    def from_reader(cls, reader: Reader, name: str, **options: Unpack[ModelOptions]) -> Model:
        """Files that `reader` reads. name is the first one's; a folder's ends in "/" or is ""."""
        callbacks = Callbacks()
        made = _model_options(options, callbacks)
        made.path, made.reader = c_string("name", name), callbacks.reader(reader)
        model = cls.__new__(cls)
        model._open(made, callbacks)
        return model

    def _open(self, options: c.ModelOptions, callbacks: Callbacks, data: Any = None) -> None:
        handle = ctypes.c_void_p()
        status = LIBRARY.transformer_model_open(ctypes.byref(options), ctypes.byref(handle))
        if status != c.OK:
            callbacks.raise_error()
            check(status)
        assert handle.value is not None
        self._hold("model", handle.value, LIBRARY.transformer_model_close, callbacks, data)
        self._info: Optional[ModelInfo] = None
        callbacks.raise_error()

    @staticmethod
    def estimate(path: Path, context: Optional[ContextOptions] = None,
                 **options: Unpack[ModelOptions]) -> MemoryEstimate:
        """What opening the model and creating a context would take. Reads the file's head, no weights."""
        callbacks = Callbacks()
        made, out = _model_options(options, callbacks), c.MemoryEstimate()
        made.path = file_name(path)
        sizes = context_options(cast("Options", context or {}), callbacks)
        call("model_estimate", ctypes.byref(made), ctypes.byref(sizes), ctypes.byref(out))
        return MemoryEstimate(**fields(out))

    # ---- what it is

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        if self._info is None:
            made = c.ModelDetails()
            with self._pointer as address:
                call("model_info", address, ctypes.byref(made))
                values = fields(made, "end_tokens", "n_end_tokens")
                values["end_tokens"] = tuple(made.end_tokens[:made.n_end_tokens]) if made.n_end_tokens else ()
            for name in ("has_tokenizer", "has_logits", "needs_source"):
                values[name] = bool(values[name])
            values["pooling"] = Pooling(values["pooling"])
            values["pooling_normalize"] = values["pooling_normalize"] == c.ON
            self._info = ModelInfo(**values)
        return self._info

    def host_bytes(self) -> int:
        """Memory the model takes now, the file's mapped pages apart."""
        self._info = None
        return self.info.host_bytes

    def metadata(self, key: str) -> str:
        """Metadata of the file: a string as it is, a number or bool as text, an array as its number of elements.
        `NotFoundError` where it has none."""
        name = c_string("key", key)
        with self._pointer as address:
            return read_text(lambda *out: LIBRARY.transformer_model_metadata(address, name, *out)).decode("utf-8", "replace")

    # ---- text and tokens

    def tokenize(self, text: Text, *, add_special: bool = True, parse_special: bool = False) -> List[int]:
        """A text's tokens.

        add_special    begin and end tokens as the model wants them
        parse_special  control tokens written out in the text become those tokens
        """
        return self._tokenize(text, None, add_special, parse_special)[0]

    def tokenize_pair(self, text: Text, second: Text, *, add_special: bool = True,
                      parse_special: bool = False) -> Tuple[List[int], List[int]]:
        """The tokens of two texts, query and document say, with what the model wants between them, and each one's
        token type."""
        return self._tokenize(text, utf8(second), add_special, parse_special)

    def _tokenize(self, text: Text, second: Optional[bytes], add_special: bool,
                  parse_special: bool) -> Tuple[List[int], List[int]]:
        data, count = utf8(text), ctypes.c_int64()
        options = c.TokenizeOptions(add_special=mode(add_special), parse_special=mode(parse_special), second=second,
                                    second_length=len(second or b""))
        capacity = len(data) + len(second or b"") + 8
        while True:
            tokens = (ctypes.c_int32 * capacity)()
            types = (ctypes.c_int32 * capacity)() if second is not None else None
            options.types = ctypes.cast(types, ctypes.POINTER(ctypes.c_int32)) if types is not None else None
            with self._pointer as address:
                status = LIBRARY.transformer_tokenize(address, data, len(data), ctypes.byref(options), tokens, capacity,
                                                      ctypes.byref(count))
                if status != c.BUFFER_TOO_SMALL:
                    check(status)
                    return tokens[:count.value], types[:count.value] if types is not None else []
            capacity = count.value

    def detokenize(self, tokens: Any, *, special: bool = False) -> str:
        """The text of tokens; bytes that are no UTF-8 become U+FFFD.

        special  writes control tokens out.
        """
        return self.detokenize_bytes(tokens, special=special).decode("utf-8", "replace")

    def detokenize_bytes(self, tokens: Any, *, special: bool = False) -> bytes:
        """The bytes of tokens: UTF-8 if the tokens spell UTF-8."""
        array, options = token_array(tokens), c.DetokenizeOptions(special=mode(special))
        with self._pointer as address:
            return read_text(lambda *out: LIBRARY.transformer_detokenize(
                address, int32_pointer(array), array.size, ctypes.byref(options), *out))

    def token_text(self, token: int) -> bytes:
        """The bytes that one token adds in the middle of a text; a control token's own name."""
        with self._pointer as address:
            return read_text(lambda *out: LIBRARY.transformer_token_text(address, integer("token", token), *out))

    def special_token(self, kind: SpecialToken) -> Optional[int]:
        """The token of this kind, or None where the model names none."""
        token = ctypes.c_int32()
        with self._pointer as address:
            status = LIBRARY.transformer_special_token(address, integer("kind", kind), ctypes.byref(token))
            if status == c.NOT_FOUND:
                return None
            check(status)
        return token.value

    def chat_format(self, messages: Tokens[Mapping[str, Any]], *, tools: Optional[Tokens[Mapping[str, Any]]] = None,
                    documents: Optional[Tokens[Mapping[str, Any]]] = None, variables: Optional[Mapping[str, Any]] = None,
                    template_name: Optional[str] = None, template_text: Optional[str] = None, local_time: int = 0,
                    add_generation_prompt: bool = True) -> str:
        """Messages as the prompt that the model's chat template makes of them. Tokenize it with add_special False and
        parse_special True.

        messages               {"role": ..., "content": ...} and what else the template knows (tool_calls, ...)
        tools, documents       what the model may call; what it may read
        variables              more variables for the template, {"enable_thinking": False} say
        template_name          the model's tokenizer.chat_template.NAME
        template_text          or: a template of your own
        local_time             seconds from 1970-01-01 00:00 to the date and time of day where you are; 0: not told
        add_generation_prompt  end with what begins the model's answer
        """
        options = struct(c.ChatOptions, messages_json=_json(list(messages)),
                         tools_json=None if tools is None else _json(list(tools)),
                         documents_json=None if documents is None else _json(list(documents)),
                         variables_json=None if variables is None else _json(dict(variables)),
                         template_name=c_string("template_name", template_name),
                         template_text=c_string("template_text", template_text), local_time=local_time,
                         add_generation_prompt=mode(add_generation_prompt))
        with self._pointer as address:
            return read_text(lambda *out: LIBRARY.transformer_chat_format(
                address, ctypes.byref(options), *out)).decode("utf-8", "replace")

    # ---- in one call, in a context of its own

    def context(self, **options: Unpack[ContextOptions]) -> Context:
        """A context of this model; see `Context`."""
        return Context(self, **options)

    def generate(self, prompt: Union[str, Tokens[int]], *, n_threads: int = 0,
                 **options: Unpack[GenerateOptions]) -> Generation:
        """Continues a text, or tokens, in a context of its own: an iterator of the text's pieces.

            for piece in model.generate("Once upon a time", max_tokens=64, temperature=0.8):
                print(piece, end="", flush=True)

        See `Generation` and `GenerateOptions`. For many prompts keep a `Context` and use its `generate`.
        """
        from .generation import Generation
        return Generation.in_own_context(self, prompt, n_threads, **options)

    def chat(self, messages: Tokens[Mapping[str, Any]], *, n_threads: int = 0,
             **options: Unpack[ChatOptions]) -> Generation:
        """Answers messages in the model's chat template, in a context of its own. See `ChatOptions`."""
        from .generation import Generation, split_chat
        template, rest = split_chat(cast("Options", options))
        return Generation.in_own_context(self, self.chat_format(messages, **template), n_threads, **rest)

    def embed(self, texts: Union[str, Tokens[Union[str, Tokens[int]]]], *, pooling: Pooling = Pooling.DEFAULT,
              normalize: Optional[bool] = None, n_threads: int = 0) -> FloatArray:
        """Texts, or tokens, as vectors [n][n_embd]; of one text its vector [n_embd].

        pooling    default: the model's own, or the mean
        normalize  divide each vector by its length; default: as the model does
        """
        if isinstance(texts, str):
            return cast(FloatArray, self.embed([texts], pooling=pooling, normalize=normalize, n_threads=n_threads)[0])
        if pooling == Pooling.DEFAULT and self.info.pooling in (Pooling.NONE, Pooling.DEFAULT):
            pooling = Pooling.MEAN
        inputs = [[(self.tokenize(text) if isinstance(text, str) else text, 0)] for text in texts]
        options: ContextOptions = {"pooling": pooling, "n_threads": n_threads}
        if normalize is not None:
            options["pooling_normalize"] = normalize
        return self._vectors(inputs, "pooled", self.info.n_embd, options)

    def rerank(self, query: str, documents: Tokens[str], *, n_threads: int = 0) -> FloatArray:
        """Scores [n][n_labels] of documents for a query, by a cross-encoder, without softmax or sigmoid."""
        inputs = []
        for document in documents:
            tokens, types = self.tokenize_pair(query, document)
            inputs.append(_runs(tokens, types if self.info.n_token_types > 1 else [0] * len(tokens)))
        return self._vectors(inputs, "score", self.info.n_labels, {"n_threads": n_threads})

    def _vectors(self, inputs: Tokens[Tokens[Tuple[Tokens[int], int]]], what: str, width: int,
                 options: ContextOptions) -> FloatArray:
        """What a sequence of each input's pieces (tokens, token type) gives, some sequences to a step."""
        from .options import Logits
        lengths = [sum(len(tokens) for tokens, _ in pieces) for pieces in inputs]
        if 0 in lengths:
            raise errors.InvalidArgumentError(f"text {lengths.index(0)} has no tokens")
        out = np.empty((len(inputs), width), np.float32)
        if not inputs:
            return out
        rows = max(BATCH_TOKENS, *lengths)
        sizes: ContextOptions = {"max_sequence_tokens": max(lengths), "max_sequences": BATCH_TEXTS,
                                 "max_step_tokens": rows, "kv_tokens": rows + 64 * BATCH_TEXTS}
        sizes.update(options)
        with self.context(**sizes) as context:
            first = 0
            while first < len(inputs):
                last = first + 1
                while last < min(len(inputs), first + BATCH_TEXTS) and sum(lengths[first:last + 1]) <= rows:
                    last += 1
                sequences = [context.sequence() for _ in range(first, last)]
                for sequence, pieces in zip(sequences, inputs[first:last]):
                    for tokens, token_type in pieces:
                        sequence.append(tokens, logits=Logits.NONE, token_type=token_type)
                context.decode()
                for i, sequence in enumerate(sequences):
                    out[first + i] = getattr(sequence, what)()
                    sequence.close()
                first = last
        return out


class Adapter(Handle):
    """A LoRA adapter of a model, immutable: any number of threads and sequences may use one."""

    def __init__(self, model: Model, path: Path = "", *, reader: Optional[Reader] = None) -> None:
        """path    a folder as PEFT writes it, a file in it, or a GGUF adapter
        reader  or: what reads it, path being its name there
        """
        callbacks, handle = Callbacks(), ctypes.c_void_p()
        options = c.AdapterOptions(path=file_name(path), reader=None if reader is None else callbacks.reader(reader))
        with model._pointer as address:
            status = LIBRARY.transformer_adapter_open(address, ctypes.byref(options), ctypes.byref(handle))
            if status != c.OK:
                callbacks.raise_error()
                check(status)
        assert handle.value is not None
        self.model = model
        self._hold("adapter", handle.value, LIBRARY.transformer_adapter_close, model._pointer)


def convert(source: Path, output: Union[Path, Callable[[bytes], Any]], **options: Unpack[ModelOptions]) -> None:
    """Writes a model as a GGUF file, its matrices as `weight_type`.

    output  a path, which has the whole file or isn't written; or a function that gets the file's bytes in turn.
    """
    if callable(output):
        _convert(source, output, options)
        return
    part = os.fsencode(output) + b".part"
    try:
        with open(part, "wb") as file:
            _convert(source, file.write, options)
        os.replace(part, os.fsencode(output))
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


def _convert(source: Path, write: Callable[[bytes], Any], options: ModelOptions) -> None:
    callbacks = Callbacks()
    model = _model_options(cast("Options", options), callbacks)
    model.path = file_name(source)
    made = c.ConvertOptions(model=ctypes.pointer(model), write=callbacks.write(write))
    status = LIBRARY.transformer_model_convert(ctypes.byref(made))
    callbacks.raise_error()
    check(status)


def _json(value: Any) -> bytes:
    """JSON without what isn't JSON."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # no numbers, lone surrogates, itself within
        raise errors.InvalidArgumentError(f"what a template is given is no JSON: {error}") from None


def _runs(tokens: List[int], types: List[int]) -> List[Tuple[List[int], int]]:
    """Pieces of one token type."""
    out: List[Tuple[List[int], int]] = []
    for token, token_type in zip(tokens, types):
        if not out or out[-1][1] != token_type:
            out.append(([], token_type))
        out[-1][0].append(token)
    return out


__all__ = ["Adapter", "Model", "convert"]
