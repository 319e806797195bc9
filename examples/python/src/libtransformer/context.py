"""Contexts, which compute, and the sequences in them."""
from __future__ import annotations

import _thread
import asyncio
import contextlib
import ctypes
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List, Mapping, Optional, Sequence as Tokens, TypeVar, Union, cast

import numpy as np

from . import _header as c
from . import errors
from ._callbacks import Callbacks
from ._handle import Handle
from ._library import (LIBRARY, Int32Array, address_and_count, call, check, create, fields, int32_pointer, integer, mode,
                       struct, token_array)
from .options import ContextStats, LogProbabilities, Logits, StepResult
from .view import View, view_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .generation import Generation
    from .grammar import Grammar
    from .model import Model
    from .options import ChatOptions, ContextOptions, GenerateOptions, SequenceOptions
    from .sampler import Sampler

Result = TypeVar("Result")

# A main thread that waits for more than this computes in another one: Python's signal handlers run there meanwhile.
LONG_STEP_TOKENS, LONG_STEP_SECONDS = 16, 0.05


class Epoch:
    """Counts what ends the life of views."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


def context_options(options: Mapping[str, Any], callbacks: Callbacks) -> c.ContextOptions:
    """The library's struct for keyword arguments."""
    values = dict(options)
    values["log"] = callbacks.log(values.pop("log", None))
    for name in values.keys() & {"pooling_normalize", "prefix_cache", "preemption"}:
        values[name] = mode(values[name])
    return struct(c.ContextOptions, **values)


class Context(Handle):
    """KV cache, buffers and threads for sequences of a model.

    One thread at a time may use a context and its sequences; a second one gets `BusyError`, never a race. Other
    threads run while it computes. `cancel` may be called from anywhere.
    """

    def __init__(self, model: Model, **options: Unpack[ContextOptions]) -> None:
        """max_sequence_tokens  longest sequence; default: the model's context length, at most 4,096
        kv_tokens            positions in the KV cache, shared by all sequences; default: max_sequence_tokens
        max_sequences        sequences alive at once; default 8
        max_step_tokens      rows of one decode step; default 512
        max_logit_rows       rows of logits that one step can keep; default: max_sequences
        max_source_tokens    longest source of an encoder-decoder
        n_threads            default: one for each processor
        prefix_cache         keep the pages of prompts that are gone, while nobody needs them; default: yes
        preemption           when pages run out, take them from the sequence of the lowest priority, whose tokens are
                             then pending again, instead of refusing it; default: no
        kv_type, pooling, pooling_normalize, log
        """
        self.model = model
        callbacks = Callbacks()
        made = context_options(options, callbacks)
        with model._pointer as address:
            context = create("context_create", address, ctypes.byref(made))
        self._hold("context", context, LIBRARY.transformer_context_destroy, model._pointer, callbacks)
        self._epoch = Epoch()  # of decodes
        self._seconds = 0.0  # that the last one took

    # ---- steps

    def decode(self, max_tokens: int = 0) -> StepResult:
        """One step over every sequence with pending tokens; with nothing pending it does nothing.

        max_tokens  rows of this step; 0: max_step_tokens.

        Other Python threads run meanwhile. In the main thread a signal's handler runs meanwhile too: what it raises
        (Ctrl-C's KeyboardInterrupt) cancels the step, whose tokens are then pending again.
        """
        if threading.current_thread() is threading.main_thread() and self._is_long():
            return self._decode_elsewhere(max_tokens)
        return self._decode(max_tokens)

    def _is_long(self) -> bool:
        return self._seconds > LONG_STEP_SECONDS or self.stats().pending_tokens > LONG_STEP_TOKENS

    def _decode(self, max_tokens: int) -> StepResult:
        options, result = struct(c.DecodeOptions, max_tokens=max_tokens), c.DecodeResult()
        start = time.monotonic()
        with self._pointer as address:
            self._epoch.n += 1
            try:
                check(LIBRARY.transformer_decode(address, ctypes.byref(options), ctypes.byref(result)))
            except errors.LimitError as error:
                error.result = StepResult(**fields(result))
                raise
        self._seconds = time.monotonic() - start
        return StepResult(**fields(result))

    def _decode_elsewhere(self, max_tokens: int) -> StepResult:
        """In a thread of its own, while this one can be interrupted."""
        outcome: List[Union[StepResult, BaseException]] = []
        running = _thread.allocate_lock()

        def step() -> None:
            try:
                outcome.append(self._decode(max_tokens))
            except BaseException as error:
                outcome.append(error)
            finally:
                running.release()

        running.acquire()
        try:
            _thread.start_new_thread(step, ())
        except RuntimeError:  # no thread to be had
            return self._decode(max_tokens)
        try:
            running.acquire()
        except BaseException:
            self.cancel()
            _acquire_whatever_comes(running)
            if outcome and not isinstance(outcome[0], BaseException):
                self._forget_cancel()
            raise
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def cancel(self) -> None:
        """Stops the running decode at the next layer, or else the next decode: that one raises `Cancelled`. From any
        thread. What earlier steps computed stays computed."""
        with self._pointer as address:
            LIBRARY.transformer_context_cancel(address)

    def _forget_cancel(self) -> None:
        """After a cancel that came too late for the step it was meant for: not the next step's."""
        with self._pointer as address:
            LIBRARY.transformer_decode(address, None, None)

    async def decode_async(self, max_tokens: int = 0) -> StepResult:
        """`decode` in a worker thread. Cancelling the task cancels the step."""
        return await self._in_thread(lambda: self._decode(max_tokens))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """work in the loop's executor. A task that is cancelled cancels the context and waits until the work ends."""
        future = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():
                self.cancel()
                while not future.done():
                    try:
                        await asyncio.wait([future])
                    except asyncio.CancelledError:
                        pass
                if future.exception() is None:
                    self._forget_cancel()
            elif not future.cancelled():
                future.exception()  # looked at
            raise

    def stats(self) -> ContextStats:
        """The context's counts."""
        made = c.ContextStatistics()
        with self._pointer as address:
            call("context_stats", address, ctypes.byref(made))
        return ContextStats(**fields(made))

    # ---- sequences and what is made of them

    def sequence(self, **options: Unpack[SequenceOptions]) -> Sequence:
        """A new sequence; see `SequenceOptions`."""
        return Sequence(self, **options)

    def restore(self, snapshot: Union[bytes, bytearray, memoryview, Callable[[int], bytes]],
                **options: Unpack[SequenceOptions]) -> Sequence:
        """A sequence from what `Sequence.save` wrote, with pages of its own. Logits can be read after its next decode.

        snapshot  the whole of it; or a function that is asked for up to n more bytes, none being the end
        options   as of `sequence`; stream 0 is the snapshot's
        """
        callbacks, made = Callbacks(), c.RestoreOptions()
        if callable(snapshot):
            made.read = callbacks.read(snapshot)
        else:
            flat = np.frombuffer(snapshot, np.uint8)  # kept by this frame
            made.data, made.data_size = flat.ctypes.data, flat.size
        sequence = Sequence.__new__(Sequence)
        handle = ctypes.c_void_p()
        with self._pointer as address, _options(cast("Mapping[str, Any]", options)) as of_sequence:
            made.sequence = ctypes.pointer(of_sequence)
            status = LIBRARY.transformer_sequence_restore(address, ctypes.byref(made), ctypes.byref(handle))
            if status != c.OK:
                callbacks.raise_error()
                check(status)
            assert handle.value is not None
            sequence._begin(self, handle.value)
        return sequence

    def generate(self, prompt: Union[str, Tokens[int]], **options: Unpack[GenerateOptions]) -> Generation:
        """Continues a text, or tokens: an iterator of the text's pieces. See `Generation` and `GenerateOptions`."""
        from .generation import Generation
        return Generation(self, prompt, **options)

    def chat(self, messages: Tokens[Mapping[str, Any]], **options: Unpack[ChatOptions]) -> Generation:
        """Answers messages ({"role": "user", "content": "..."}) in the model's chat template. See `ChatOptions`."""
        from .generation import split_chat
        template, rest = split_chat(cast("Mapping[str, Any]", options))
        return self.generate(self.model.chat_format(messages, **template), **rest)


def _acquire_whatever_comes(lock: _thread.LockType) -> None:
    """Past further signals: the thread that holds it is about to end."""
    while True:
        try:
            lock.acquire()
            return
        except BaseException:
            continue


class Sequence(Handle):
    """Tokens and what the context has computed of them. Its calls are calls on its context."""

    def __init__(self, context: Context, **options: Unpack[SequenceOptions]) -> None:
        """See `SequenceOptions`."""
        with context._pointer as address, _options(cast("Mapping[str, Any]", options)) as made:
            self._begin(context, create("sequence_create", address, ctypes.byref(made)))

    def _begin(self, context: Context, address: int) -> None:
        self.context = context
        self._epoch = Epoch()  # of truncations and closing
        self._hold("sequence", address, LIBRARY.transformer_sequence_destroy, context._pointer)

    def close(self) -> None:
        """Gives the sequence's pages back. If a decode is running, when it returns."""
        self._epoch.n += 1
        super().close()

    def fork(self, *, sampler: Optional[Sampler] = None, stream: int = 0) -> Sequence:
        """A second sequence of the same tokens, pending ones too; pages are shared until one of the two writes into
        them. The logits that this one has can be read and sampled through the fork too."""
        options = struct(c.ForkOptions, stream=stream)
        fork = Sequence.__new__(Sequence)
        with self._pointer as address, _optional(sampler) as options.sampler:
            fork._begin(self.context, create("sequence_fork", address, ctypes.byref(options)))
        return fork

    # ---- tokens

    def append(self, tokens: Union[int, Iterable[int]], *, logits: Logits = Logits.LAST,
               keep: Optional[Iterable[bool]] = None, token_type: int = 0) -> None:
        """Queues tokens after those the sequence has. Nothing is computed until a decode.

        logits      of which of them the logits are kept
        keep        a truth value for each token: true keeps that position's logits too
        token_type  of these tokens, where the model has types
        """
        array = token_array(list(tokens) if isinstance(tokens, Iterable) and not hasattr(tokens, "__len__") else tokens)
        options = struct(c.AppendOptions, logits=logits, token_type=token_type)
        kept = None if keep is None else np.fromiter((1 if k else 0 for k in keep), np.uint8)
        if kept is not None:
            if kept.size != array.size:
                raise errors.InvalidArgumentError(f"keep has {kept.size} values for {array.size} tokens")
            options.keep = ctypes.cast(kept.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
        with self._pointer as address:
            call("sequence_append", address, int32_pointer(array), array.size, ctypes.byref(options))

    def set_source(self, tokens: Iterable[int]) -> None:
        """What the encoder of an encoder-decoder is to read; the sequence's own tokens begin with the start token."""
        array = token_array(tokens if hasattr(tokens, "__len__") else list(tokens))
        with self._pointer as address:
            call("sequence_set_source", address, int32_pointer(array), array.size, None)

    def truncate(self, n: int) -> None:
        """Keeps the first n tokens, computed or pending."""
        with self._pointer as address:
            self._epoch.n += 1
            call("sequence_truncate", address, integer("n", n, 64))

    def _count(self) -> "tuple[int, int]":
        count, computed = ctypes.c_int64(), ctypes.c_int64()
        with self._pointer as address:
            call("sequence_tokens", address, None, 0, ctypes.byref(count), ctypes.byref(computed))
        return count.value, computed.value

    def __len__(self) -> int:
        return self._count()[0]

    def __bool__(self) -> bool:
        return True

    @property
    def n_computed(self) -> int:
        """How many of the tokens are computed; the rest is pending."""
        return self._count()[1]

    @property
    def tokens(self) -> Int32Array:
        """All tokens, in an array of your own."""
        count = ctypes.c_int64(len(self))
        while True:
            out = np.empty(max(1, count.value), np.int32)
            with self._pointer as address:
                status = LIBRARY.transformer_sequence_tokens(address, int32_pointer(out), out.size, ctypes.byref(count), None)
                if status != c.BUFFER_TOO_SMALL:
                    check(status)
                    return out[:count.value]

    # ---- how it goes on

    def set_priority(self, priority: int) -> None:
        """From the next decode on: higher goes first, and keeps its pages longer."""
        with self._pointer as address:
            call("sequence_set_priority", address, integer("priority", priority))

    def propose(self, tokens: Iterable[int]) -> None:
        """Tokens that you guess the sequence's own sampler will choose next. The next decode checks them in one step:
        the text is the same with or without. None forget what was proposed."""
        array = token_array(tokens if hasattr(tokens, "__len__") else list(tokens))
        with self._pointer as address:
            call("sequence_propose", address, int32_pointer(array), array.size)

    def constrain(self, grammar: Optional[Grammar], *, max_tokens: int = 0, close: bool = False) -> None:
        """Every token from here on belongs to a text of the grammar; None lifts it. Truncating and forking keep it right.

        close  the text is brought to its end within max_tokens (0: what the sequence has room for)
        """
        options = struct(c.ConstraintOptions, max_tokens=max_tokens, close=mode(close))
        with self._pointer as address, _optional(grammar) as of_grammar:
            call("sequence_constrain", address, of_grammar, ctypes.byref(options))

    # ---- snapshots

    def save(self, write: Optional[Callable[[bytes], Any]] = None) -> bytes:
        """The sequence as bytes, tokens with their keys and values, to go on after `Context.restore` without computing
        them again: in another context, process, machine, or on another device. The sequence stays as it is.

        write  gets the bytes in turn instead, and b"" is returned. What it was given before it raised is no snapshot.
        """
        size = ctypes.c_uint64()
        if write is not None:
            callbacks = Callbacks()
            options = c.SaveOptions(write=callbacks.write(write, c.SaveOptionsWriteFunction))
            with self._pointer as address:
                status = LIBRARY.transformer_sequence_save(address, ctypes.byref(options), ctypes.byref(size))
                callbacks.raise_error()
                check(status)
            return b""
        with self._pointer as address:
            call("sequence_save", address, None, ctypes.byref(size))
            while True:
                buffer = np.empty(max(1, size.value), np.uint8)
                options = c.SaveOptions(buffer=buffer.ctypes.data, capacity=buffer.size)
                status = LIBRARY.transformer_sequence_save(address, ctypes.byref(options), ctypes.byref(size))
                if status != c.BUFFER_TOO_SMALL:
                    check(status)
                    return buffer[:size.value].tobytes()

    # ---- what a decode gave

    def _view(self, function: Any, *position: int) -> View:
        steps, ours = self.context._epoch, self._epoch
        now = steps.n, ours.n
        with self._pointer as address:
            found = address_and_count(function, address, *position)
            return view_of(self.context._pointer, lambda: (steps.n, ours.n) == now, found)

    def logits(self, position: int = -1) -> View:
        """The logits [n_vocab] that follow a position (-1 the last), if the last decode computed and kept them. A view
        of the context's memory: good until the context's next decode; see `View`."""
        return self._view(LIBRARY.transformer_sequence_logits, integer("position", position, 64))

    def embedding(self, position: int = -1) -> View:
        """Likewise the hidden state [n_embd] after the last norm, of a position whose logits were kept."""
        return self._view(LIBRARY.transformer_sequence_embedding, integer("position", position, 64))

    def log_probabilities(self, position: int = -1, tokens: Iterable[int] = (), *, top: int = 0) -> LogProbabilities:
        """What the model gives to tokens after a position whose logits can be read: the log softmax of them, of `tokens`
        and of the `top` likeliest ones. The token that was queued at p is one after p - 1."""
        array = token_array(tokens if hasattr(tokens, "__len__") else list(tokens))
        if not 0 <= top <= self.context.model.info.n_vocab:
            raise errors.InvalidArgumentError(f"top {top} is out of range")
        values, best = (ctypes.c_float * array.size)(), (c.TokenProbability * top)()
        with self._pointer as address:
            call("sequence_log_probabilities", address, integer("position", position, 64), int32_pointer(array), array.size,
                 values, best, top)
        return LogProbabilities(tuple(values), tuple((one.token, one.log_probability) for one in best))

    def pooled(self) -> View:
        """Likewise the sequence's vector [n_embd], if the last decode computed its last position."""
        return self._view(LIBRARY.transformer_sequence_pooled)

    def score(self) -> View:
        """Likewise the score [n_labels] of the model's head, without softmax or sigmoid."""
        return self._view(LIBRARY.transformer_sequence_score)


@contextlib.contextmanager
def _options(options: Mapping[str, Any]) -> Iterator[c.SequenceOptions]:
    """The library's struct, and its handles in use."""
    values = dict(options)
    sampler, adapter = values.pop("sampler", None), values.pop("adapter", None)
    scale = values.pop("adapter_scale", 1.0)
    if adapter is not None and scale == 0:
        raise errors.InvalidArgumentError("adapter_scale is 0: leave the adapter out")
    made = struct(c.SequenceOptions, adapter_scale=scale if adapter is not None else 0.0, **values)
    with _optional(sampler) as made.sampler, _optional(adapter) as made.adapter:
        yield made


class _optional:
    """`with` for a handle that may be None: its address, or None."""

    def __init__(self, handle: Optional[Handle]) -> None:
        self._handle = handle

    def __enter__(self) -> Any:
        return None if self._handle is None else self._handle._pointer.__enter__()

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle._pointer.__exit__()


