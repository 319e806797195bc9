"""Generations: a prompt that is continued, as an iterator of text."""
from __future__ import annotations

import collections
from types import TracebackType
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Mapping, Optional, Sequence as Tokens, Tuple, Type, Union

from . import errors
from ._library import token_array
from .context import Context, Sequence
from .options import SAMPLING, TEMPLATE, FinishReason
from .sampler import Sampler
from .text import TextStream

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._draft import Draft
    from .model import Model
    from .options import GenerateOptions

# Tokens that a context of a generation's own holds where max_tokens doesn't say.
OPEN_END_TOKENS = 4096


def split_chat(options: Mapping[str, Any]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """What the template is given, and the generation's options: a chat's prompt has its control tokens written out."""
    template = {name: value for name, value in options.items() if name in TEMPLATE}
    rest = {name: value for name, value in options.items() if name not in TEMPLATE}
    return template, {"add_special": False, "parse_special": True, **rest}


class Generation:
    """The text that continues a prompt, piece by piece: whole characters, as soon as they are known.

    Iterate it with `for`, or with `async for`, which computes in a worker thread and leaves the event loop free; or
    read it whole. It computes when it is asked for more, never ahead. Leaving it early (`close`, `with`, or forgetting
    it) gives its pages back; so does the end.

    tokens           those generated so far, the end token left out
    n_prompt_tokens  of the prompt
    finish_reason    None until it has ended
    stop_string      that ended it, if one did

    It drives its context's decode: other sequences of the context that have tokens pending are computed along.
    """

    def __init__(self, context: Context, prompt: Union[str, Tokens[int]], *, _owns_context: bool = False,
                 **options: Unpack[GenerateOptions]) -> None:
        """See `Context.generate`."""
        values: Dict[str, Any] = dict(options)
        self.tokens: List[int] = []
        self.finish_reason: Optional[FinishReason] = None
        self.stop_string: Optional[str] = None
        self._context, self._owns_context = context, _owns_context
        self._max_tokens = int(values.pop("max_tokens", 0))
        if self._max_tokens < 0:
            raise errors.InvalidArgumentError("max_tokens is negative")
        model = context.model
        self._ends = frozenset(model.info.end_tokens)
        own = prompt_tokens(model, prompt, values)
        answer = token_array(values.pop("answer", ()))
        self.n_prompt_tokens = len(own)
        self._queue: Deque[int] = collections.deque()
        self._pieces: Deque[Optional[str]] = collections.deque()
        stop = values.pop("stop", ())
        if isinstance(stop, str):
            raise TypeError("stop is a list of strings")
        self._stop = list(stop)
        grammar, close = values.pop("grammar", None), values.pop("close", False)
        self._stream = TextStream(model, stop=self._stop) if model.info.has_tokenizer or self._stop else None
        draft = values.pop("draft", None)
        self._draft: Optional[Draft] = None
        sampling = {name: values.pop(name) for name in SAMPLING & values.keys()}
        self._sampler = Sampler(model, **sampling)
        self._sequence = context.sequence(sampler=self._sampler, **values)
        try:
            if draft is not None:
                from ._draft import Draft
                self._draft = Draft(draft, self._sequence, sampling, values.get("stream", 0))
            self._begin(own, answer)
            if grammar is not None:
                self._sequence.constrain(grammar, max_tokens=self._max_tokens if close else 0, close=close)
        except BaseException:
            self.close()
            raise

    @classmethod
    def in_own_context(cls, model: Model, prompt: Union[str, Tokens[int]], n_threads: int,
                       **options: Unpack[GenerateOptions]) -> Generation:
        """In a context just large enough, closed at the end."""
        values: Dict[str, Any] = dict(options)
        tokens = prompt_tokens(model, prompt, values)
        info, most = model.info, int(values.get("max_tokens", 0))
        own = 1 + len(values.get("answer", ())) if info.needs_source else len(tokens)
        wanted = own + most + 1 if most else max(OPEN_END_TOKENS, own + 1)
        if info.context_length:
            wanted = min(wanted, max(info.context_length, own))
        context = Context(model, max_sequence_tokens=wanted, max_sequences=1, n_threads=n_threads,
                          max_logit_rows=max(1 + int(values.get("lookup_tokens", 0)), 8 if "draft" in values else 1))
        try:
            return cls(context, tokens, _owns_context=True, **values)
        except BaseException:
            context.close()
            raise

    def _begin(self, prompt: Any, answer: Any) -> None:
        model = self._context.model
        if not model.info.needs_source:
            if len(answer):
                raise errors.InvalidArgumentError("answer is for encoder-decoders")
            self._sequence.append(prompt)
        else:
            if model.info.start_token < 0:
                raise errors.UnsupportedError("the model's file names no start token for its decoder")
            self._sequence.set_source(prompt)
            self._sequence.append(model.info.start_token)
            if len(answer):
                self._sequence.append(answer)
        self._seen = len(self._sequence)

    @property
    def context(self) -> Context:
        """The context it computes in."""
        return self._context

    @property
    def sequence(self) -> Sequence:
        """Its sequence, closed once the generation has ended."""
        return self._sequence

    # ---- tokens

    def _next_token(self) -> Optional[int]:
        """The next token that the sequence's sampler has chosen; None: the context is full."""
        while not self._queue:
            tokens = self._sequence.tokens
            self._queue.extend(tokens[self._seen:].tolist())
            self._seen = len(tokens)
            if self._queue:
                break
            count, computed = self._sequence._count()
            if computed == count:
                return self._last_token(count)
            if self._draft is not None:
                self._draft.propose()
            try:
                self._context.decode()
            except errors.LimitError:
                if not self.tokens:
                    raise
                return None  # no KV page is left
        return self._queue.popleft()

    def _last_token(self, count: int) -> Optional[int]:
        """The sequence holds no more: the token after its last one is chosen, and not queued."""
        if self._full:
            return None
        self._full = True
        try:
            return self._sampler.sample(self._sequence)
        except errors.StateError:  # a step of others came since
            last = int(self._sequence.tokens[-1])
            self._sequence.truncate(count - 1)
            self._sequence.append(last)
            while self._sequence.n_computed < count:
                self._context.decode()
            return self._sampler.sample(self._sequence)

    _full = False

    # ---- text

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        piece = self._take_piece()
        if piece is None:
            raise StopIteration
        return piece

    def _take_piece(self) -> Optional[str]:
        """What a task that was cancelled meanwhile didn't get comes first."""
        if not self._pieces:
            self._compute_piece()
        return self._pieces.popleft()

    def _compute_piece(self) -> None:
        self._pieces.append(self._piece())

    def _piece(self) -> Optional[str]:
        """The next characters; None at the end."""
        while self.finish_reason is None:
            token = self._next_token()
            if token is None:
                text = self._end(FinishReason.CONTEXT)
            elif token in self._ends:
                text = self._end(FinishReason.END)
            else:
                self.tokens.append(token)
                text = self._stream.push(token) if self._stream else ""
                stopped = self._stream.stopped if self._stream and self._stop else None
                if stopped is not None:
                    self.stop_string = self._stop[stopped]
                    text += self._end(FinishReason.STOP_STRING)
                elif len(self.tokens) == self._max_tokens:
                    text += self._end(FinishReason.LENGTH)
            if text:
                return text
        return None

    def _end(self, reason: FinishReason) -> str:
        text = self._stream.finish() if self._stream else ""
        self.finish_reason = reason
        self.close()
        return text

    def read(self) -> str:
        """All the text that is still to come."""
        return "".join(self)

    def close(self) -> None:
        """Ends it, if it hasn't ended."""
        if self.finish_reason is None:
            self.finish_reason = FinishReason.STOPPED
        if self._draft is not None:
            self._draft.close()
        self._sequence.close()
        self._sampler.close()
        if self._stream:
            self._stream.close()
        if self._owns_context:
            self._context.close()

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    # ---- asyncio

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> str:
        """The next piece, computed in a worker thread. Cancelling the task cancels the step; what was generated so far
        stays, and the generation may be continued."""
        if not self._pieces:
            await self._context._in_thread(self._compute_piece)
        piece = self._take_piece()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def read_async(self) -> str:
        """All the text that is still to come."""
        return "".join([piece async for piece in self])

    async def aclose(self) -> None:
        """`close`, for async code."""
        self.close()

    async def __aenter__(self) -> Generation:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        self.close()


def prompt_tokens(model: Model, prompt: Union[str, Tokens[int]], options: Dict[str, Any]) -> Any:
    """The prompt's tokens, at least one. Takes what says how to tokenize out of the options."""
    special, parse = options.pop("add_special", True), options.pop("parse_special", False)
    if isinstance(prompt, (str, bytes)):
        prompt = model.tokenize(prompt, add_special=special, parse_special=parse)
    tokens = token_array(prompt)
    if not tokens.size:
        raise errors.InvalidArgumentError("the prompt has no tokens")
    return tokens
