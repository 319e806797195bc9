"""The library as the scheduler uses it: one model, one context, its limits and what it can do."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence as Tokens
from typing import Any

import libtransformer

from . import tool_forms
from .settings import ModelSettings
from .work import Chosen, Generation, Likely, Run, SamplerValues

GRAMMARS = 24  # compiled ones that are kept, some 20 MiB each
LIBRARY_COUNTS = ("kv_pages_cached", "prefix_lookups", "prefix_hit_tokens", "prefix_evicted_pages",
                  "step_nanoseconds_median", "step_nanoseconds_p99", "n_proposed", "n_accepted", "rows")


class EngineError(Exception):
    """A call of the library failed. Its message, and what that is over HTTP."""

    def __init__(self, error: libtransformer.Error) -> None:
        super().__init__(str(error))
        wrong = (libtransformer.InvalidArgumentError, libtransformer.UnsupportedError,
                 libtransformer.LimitError, libtransformer.FormatError)
        self.http_status = 400 if isinstance(error, wrong) else 500
        self.is_limit = isinstance(error, libtransformer.LimitError)
        self.is_unsupported = isinstance(error, libtransformer.UnsupportedError)


def _call(function: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except libtransformer.Error as error:
        raise EngineError(error) from error


class TextStream:
    """Text of an answer: whole characters, up to a stop string."""

    def __init__(self, stream: libtransformer.TextStream) -> None:
        self._stream = stream
        self.push, self.finish, self.close = stream.push, stream.finish, stream.close

    def stopped(self) -> bool:
        return self._stream.stopped is not None


class EngineSequence:
    """A sequence of the context. The scheduler's thread alone uses it."""

    def __init__(self, engine: Engine, sequence: libtransformer.Sequence) -> None:
        self._engine, self._sequence = engine, sequence
        self.close = sequence.close

    def append(self, tokens: Tokens[int], keep_logits: bool, kind: int = 0) -> None:
        logits = libtransformer.Logits.LAST if keep_logits else libtransformer.Logits.NONE
        _call(self._sequence.append, tokens, logits=logits, token_type=kind)

    def fork(self, sampler: Any, stream: int) -> EngineSequence:
        fork = _call(self._sequence.fork, sampler=sampler, stream=stream)
        return EngineSequence(self._engine, fork)

    def truncate(self, n: int) -> None:
        _call(self._sequence.truncate, n)

    def constrain(self, grammar: libtransformer.Grammar, max_tokens: int) -> None:
        """What comes from here on is a text of the grammar, whole within max_tokens."""
        _call(self._sequence.constrain, grammar, max_tokens=max_tokens, close=True)

    def chosen(self, position: int, token: int, n_top: int) -> Chosen:
        """The token after a position that the last step computed, as the model sees it."""
        found = _call(self._sequence.log_probabilities, position, [token], top=n_top)
        text = self._engine.token_text
        return Chosen(token, found.values[0], text(token),
                      tuple(Likely(other, value, text(other)) for other, value in found.top))

    def n_computed(self) -> int:
        return self._sequence.n_computed

    def tokens_from(self, begin: int) -> list[int]:
        return self._sequence.tokens[begin:].tolist()

    def vector(self, score: bool) -> list[float] | None:
        """None if the last step has not computed the sequence's last position."""
        try:
            found = self._sequence.score() if score else self._sequence.pooled()
        except libtransformer.NotFoundError:
            return None
        except libtransformer.Error as error:
            raise EngineError(error) from error
        return found.copy().tolist()


class Engine:
    """Calls without a word on threads are for any thread; context and sequences are the scheduler's."""

    def __init__(self, settings: ModelSettings) -> None:
        self.name, self._settings = settings.name, settings
        self._model = libtransformer.Model(settings.path, device=settings.device)
        info = self.info = self._model.info
        if info.needs_source:
            raise libtransformer.UnsupportedError(
                f"{settings.path} is an encoder-decoder, which the server has no route for")
        self.end_tokens = frozenset(info.end_tokens)
        self.has_logits, self.n_labels = info.has_logits, info.n_labels
        self.n_vocab, self.n_embd = info.n_vocab, info.n_embd
        longest = settings.max_sequence_tokens or min(info.context_length, 4096)
        pooling = libtransformer.Pooling[settings.pooling.upper()]
        pools = (pooling or info.pooling) not in (libtransformer.Pooling.DEFAULT,
                                                  libtransformer.Pooling.NONE)
        self.pools = pools and not info.n_labels
        # Where tokens see those behind them, a sequence is computed in one step.
        self.computes_whole = not info.has_logits or pools
        self._context = libtransformer.Context(
            self._model, max_sequence_tokens=longest,
            kv_tokens=settings.kv_tokens or 4 * longest, max_sequences=settings.max_running,
            max_step_tokens=max(settings.max_step_tokens, longest) if self.computes_whole
            else settings.max_step_tokens,
            # A step keeps the logits of what it proposes for an answer besides its last ones.
            max_logit_rows=settings.max_running * (1 + settings.lookup_tokens),
            n_threads=settings.threads, pooling=pooling, preemption=not self.computes_whole)
        stats = self._context.stats()
        self.max_running = settings.max_running
        self.overcommit = 1.0 if self.computes_whole else float(settings.overcommit)
        self.max_sequence_tokens = stats.max_sequence_tokens
        self.page_tokens = stats.kv_page_tokens
        self.n_pages = (settings.kv_tokens or 4 * longest) // stats.kv_page_tokens
        self.has_chat_template = info.has_logits and self._has_chat_template()
        self.call_form, self.tells_tools = None, False
        if self.has_chat_template:
            self.call_form = tool_forms.find(self._try_template, self._is_text,
                                             self._text_before_control)
            self.tells_tools = tool_forms.tells_tools(self._try_template)
        self._grammar = functools.lru_cache(maxsize=GRAMMARS)(self._compile)
        self.fingerprint = "fp_" + hashlib.sha256(
            f"{libtransformer.__version__} {info}".encode()).hexdigest()[:12]

    def close(self) -> None:
        self._context.close()
        self._model.close()

    # ---- any thread

    def tokenize(self, text: str, *, add_special: bool = True,
                 parse_special: bool = False) -> list[int]:
        return _call(self._model.tokenize, text, add_special=add_special,
                     parse_special=parse_special)

    def tokenize_pair(self, query: str, document: str) -> tuple[Run, ...]:
        """Both texts as a cross-encoder is given them: runs of tokens of one type."""
        tokens, types = _call(self._model.tokenize_pair, query, document)
        runs, begin = [], 0
        for at in range(1, len(tokens) + 1):
            if at == len(tokens) or types[at] != types[begin]:
                runs.append((tokens[begin:at], types[begin]))
                begin = at
        return tuple(runs)

    def grammar(self, language: str, text: str) -> libtransformer.Grammar:
        """Compiled, or still there from before. language: json_schema or ebnf."""
        return self._grammar(language, text)

    def check_grammar(self, language: str, text: str) -> None:
        """Raises what is wrong with it."""
        self._compile(language, text).close()

    def _compile(self, language: str, text: str) -> libtransformer.Grammar:
        return _call(libtransformer.Grammar, self._model, **{language: text})

    def token_text(self, token: int) -> bytes:
        return _call(self._model.token_text, token)

    def begins(self, grammar: libtransformer.Grammar, text: bytes) -> bool:
        """Whether a text of the grammar begins with this."""
        return _call(grammar.match, text) != libtransformer.Match.NONE

    def pages_for(self, n_tokens: int) -> int:
        return -(-n_tokens // self.page_tokens)

    def pages_of(self, work: Generation) -> int:
        """Of all answers at their longest. They share the pages that the prompt fills."""
        longest = self.pages_for(len(work.prompt) + work.max_tokens)
        if work.n == 1:
            return longest
        shared = (len(work.prompt) - 1) // self.page_tokens
        return shared + work.n * (longest - shared) + 1

    def _template(self) -> str:
        if self._settings.chat_template is not None:
            return self._settings.chat_template
        try:
            return self._model.metadata("tokenizer.chat_template")
        except libtransformer.Error:
            return ""

    def _has_chat_template(self) -> bool:
        try:
            self._model.chat_format([{"role": "user", "content": ""}],
                                    template_text=self._settings.chat_template)
        except libtransformer.NotFoundError:
            return False
        except libtransformer.Error:
            pass  # it has one, which doesn't like this message
        return True

    def chat_prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None,
                    variables: dict[str, Any] | None) -> str:
        return _call(self._model.chat_format, messages, tools=tools, variables=variables,
                     template_text=self._settings.chat_template)

    def _try_template(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]],
                      begins: bool) -> str | None:
        try:
            return self._model.chat_format(messages, tools=tools, add_generation_prompt=begins,
                                           template_text=self._settings.chat_template)
        except libtransformer.Error:
            return None

    def _text_before_control(self, text: str) -> str:
        """Up to the first control token, which is no text."""
        tokens = _call(self._model.tokenize, text, add_special=False, parse_special=True)
        for at, token in enumerate(tokens):
            if token in self.end_tokens or not self._model.detokenize_bytes([token]):
                return _call(self._model.detokenize, tokens[:at])
        return text

    def _is_text(self, text: str) -> bool:
        return self._text_before_control(text) == text

    def knows_role(self, role: str) -> bool:
        """Whether the template says anything of it."""
        return role in self._template()

    # ---- the scheduler's thread

    def sampler(self, values: SamplerValues) -> libtransformer.Sampler:
        return _call(libtransformer.Sampler, self._model, seed=values.seed,
                     temperature=values.temperature, top_k=values.top_k, top_p=values.top_p,
                     min_p=values.min_p, repetition_penalty=values.repetition_penalty,
                     frequency_penalty=values.frequency_penalty,
                     presence_penalty=values.presence_penalty, logit_bias=dict(values.logit_bias))

    def sequence(self, sampler: libtransformer.Sampler | None, stream: int,
                 domain: int) -> EngineSequence:
        named = {}
        if sampler is not None and self._settings.lookup_tokens:
            named["lookup_tokens"] = self._settings.lookup_tokens
        made = _call(libtransformer.Sequence, self._context, sampler=sampler, stream=stream,
                     cache_domain=domain, **named)
        return EngineSequence(self, made)

    def text_stream(self, stop: tuple[str, ...], special: bool) -> TextStream:
        made = _call(libtransformer.TextStream, self._model, special=special, stop=stop)
        return TextStream(made)

    def decode(self) -> libtransformer.StepResult:
        return _call(self._context.decode)

    def statistics(self) -> tuple[int, int, int, dict[str, int]]:
        stats = self._context.stats()
        return stats.n_sequences, stats.kv_pages, stats.kv_pages_free, {
            name: getattr(stats, name) for name in LIBRARY_COUNTS}
