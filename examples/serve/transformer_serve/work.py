"""What the scheduler is given and what it gives back: plain values, no library in them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    from .tool_forms import Trigger

Run = tuple[Sequence[int], int]  # tokens and the type that all of them have


@dataclasses.dataclass(frozen=True)
class SamplerValues:
    seed: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.0
    min_p: float = 0.0
    repetition_penalty: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Generation:
    """n answers to one prompt. Answer i draws its random numbers from (seed, i, position)."""

    prompt: Sequence[int]
    max_tokens: int
    sampler: SamplerValues
    n: int = 1
    stop: tuple[str, ...] = ()
    n_top: int | None = None  # None: no log-probabilities; else with so many of the likeliest
    with_special: bool = False  # Piece.raw: the text with control tokens written out
    grammar: tuple[str, str] | None = None  # what the answers must be: "json_schema" or "ebnf", its text
    trigger: Trigger | None = None  # from where on there is a grammar
    domain: int = 0  # prefixes of prompts are reused among requests of the same one


@dataclasses.dataclass(frozen=True)
class Vectors:
    """One vector for each input: pooled hidden states, or scores of the model's head."""

    inputs: tuple[tuple[Run, ...], ...]
    scores: bool
    domain: int = 0


class Likely(NamedTuple):
    token: int
    log_probability: float
    text: bytes


class Chosen(NamedTuple):
    """A token of an answer, with the likeliest ones at its place."""

    token: int
    log_probability: float
    text: bytes
    top: tuple[Likely, ...]


class Piece(NamedTuple):
    answer: int
    text: str
    raw: str = ""
    chosen: tuple[Chosen, ...] = ()


class End(NamedTuple):
    answer: int
    reason: str  # "stop" or "length"
    n_tokens: int  # the end token counts: it was computed


class Vector(NamedTuple):
    index: int
    values: list[float]


class Failure(NamedTuple):
    status: int
    message: str


Event = Union[Piece, End, Vector, Failure]


class Inbox:
    """Events of one job on their way from the scheduler's thread into an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._events: list[Event] = []
        self._wake = asyncio.Event()

    def deliver(self, events: list[Event]) -> None:
        """In the loop. What nobody takes adds up, to no more than the answers are long."""
        self._events += events
        self._wake.set()

    async def take(self) -> list[Event]:
        """All that there is, one at least."""
        await self._wake.wait()
        self._wake.clear()
        events, self._events = self._events, []
        return events


class Job:
    """A request that was accepted. The scheduler's thread alone changes what begins with _."""

    def __init__(self, work: Union[Generation, Vectors], inbox: Inbox, first: int = 0) -> None:
        self.work, self.inbox = work, inbox
        self.first = first  # number of its first answer, where a request has several jobs
        self.cancelled = False  # whoever wants it no more sets this, from any thread
        self._n_open = work.n if isinstance(work, Generation) else len(work.inputs)
        self._reserved = 0
        self._outbox: list[Event] = []
