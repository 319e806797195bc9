"""Speculation with a draft model: a smaller one guesses what the model's sampler will choose."""
from __future__ import annotations

from typing import Any, Dict, List, Union
from weakref import WeakKeyDictionary

import numpy as np

from . import errors
from .context import Context, Sequence
from .model import Model
from .sampler import Sampler

MOST = 16  # guesses in a step
MOST_SKIPPED = 32  # steps without any, where none was right
_known: "WeakKeyDictionary[Model, bytes]" = WeakKeyDictionary()


def _texts(model: Model) -> bytes:
    """All tokens' texts in a row."""
    if model not in _known:
        tokens = np.arange(model.info.n_vocab, dtype=np.int32)
        _known[model] = model.detokenize_bytes(tokens, special=True) if model.info.has_tokenizer else b""
    return _known[model]


def _check(model: Model, draft: Model) -> None:
    """A guess in another vocabulary would be refused or wrong each time: say so. Texts are right in any case."""
    if draft.info.needs_source or model.info.needs_source or not draft.info.has_logits:
        raise errors.UnsupportedError("draft: a model that takes a source, or gives no logits")
    if model is draft:
        return
    sizes = model.info.n_vocab, draft.info.n_vocab
    if sizes[0] != sizes[1]:
        raise errors.InvalidArgumentError(f"draft: its model has a vocabulary of {sizes[1]} tokens, this one {sizes[0]}")
    if _texts(model) != _texts(draft):
        raise errors.InvalidArgumentError("draft: its model's tokens have other texts")


class Draft:
    """A sequence of the draft's that follows another one, and guesses what comes next there."""

    def __init__(self, draft: Union[Model, Context], target: Sequence, sampling: Dict[str, Any], stream: int) -> None:
        context = target.context
        self._owns = isinstance(draft, Model)
        model = draft if isinstance(draft, Model) else draft.model
        if draft is context:
            raise errors.InvalidArgumentError("draft is the context that is to generate")
        _check(context.model, model)
        stats = context.stats()
        self._most = min(MOST, stats.max_logit_rows - 1)
        if self._most < 1:
            raise errors.InvalidArgumentError("draft: the context's max_logit_rows leaves no row for guesses")
        self._longest = stats.max_sequence_tokens
        if isinstance(draft, Model):
            longest = min(self._longest, draft.info.context_length or self._longest)
            draft = Context(draft, max_sequence_tokens=longest, max_sequences=1, n_threads=stats.n_threads)
        self._context = draft
        self._target = target
        self._guesses: List[int] = []  # the last ones, which began at _at
        self._at = 0
        self._n, self._skip, self._n_bad = min(4, self._most), 0, 0
        try:
            self._sampler = Sampler(model, **sampling)
            self._sequence = draft.sequence(stream=stream)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for name in ("_sequence", "_sampler"):
            if hasattr(self, name):
                getattr(self, name).close()
        if self._owns:
            self._context.close()

    def _learn(self, tokens: Any) -> None:
        """More guesses where all of the last ones were right, fewer and then a trial now and then where none was."""
        guesses, self._guesses = self._guesses, []
        if not guesses:
            return
        right = 0
        for guess, token in zip(guesses, tokens[self._at:-1]):
            if guess != token:
                break
            right += 1
        self._n = min(2 * self._n, self._most) if right == len(guesses) else max(1, right)
        self._n_bad = 0 if right else self._n_bad + 1
        self._skip = min(MOST_SKIPPED, 2 ** self._n_bad - 1) if self._n_bad > 1 else 0

    def propose(self) -> None:
        """To be called before a decode of the target's context."""
        tokens = self._target.tokens
        if self._target.n_computed != len(tokens) - 1:
            return
        self._learn(tokens)
        if self._skip:
            self._skip -= 1
            return
        n = min(self._n, self._longest - len(tokens) - 1)
        if n <= 0:
            return
        try:
            self._fill(tokens, n)
        except errors.LimitError:
            pass  # the draft's context is full: what there is will do
        self._at = len(tokens)
        if self._guesses:
            self._target.propose(self._guesses)

    def _fill(self, tokens: Any, n: int) -> None:
        own = self._sequence.tokens
        n_both = min(len(own), len(tokens) - 1)
        differ = np.flatnonzero(own[:n_both] != tokens[:n_both])
        same = int(differ[0]) if differ.size else n_both
        self._sequence.truncate(same)
        self._sequence.append(tokens[same:])
        ends = self._context.model.info.end_tokens
        while True:
            while self._sequence.n_computed < len(self._sequence):
                self._context.decode()
            token = self._sampler.sample(self._sequence)
            self._guesses.append(token)
            if len(self._guesses) == n or token in ends:
                return
            self._sequence.append(token)
