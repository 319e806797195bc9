"""One thread drives one context. Requests join and leave between its steps.

A step computes whatever is pending: a token of every answer that runs and chunks of the prompts that
came in. The bits of an answer depend on its own tokens, seed and number alone, so who shares the
step doesn't matter. Pages for the longest that a request may become are set aside before it begins,
so that what has begun is never stopped for want of them.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from .engine import Engine, EngineError
from .work import Chosen, End, Event, Failure, Generation, Inbox, Job, Likely, Piece, Vector, Vectors

log = logging.getLogger("transformer_serve")


class Full(Exception):
    """Too many requests wait. retry_after: seconds until there may be room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many requests wait")
        self.retry_after = retry_after


class Stopped(Exception):
    """The scheduler takes no more requests."""


@dataclasses.dataclass
class Snapshot:
    """Counts after a step. Whoever reads them gets the last whole one."""

    running: int = 0
    waiting: int = 0
    sequences: int = 0
    pages: int = 0
    pages_free: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    cancelled: int = 0
    library: dict[str, int] = dataclasses.field(default_factory=dict)


class _Answer:
    """One sequence that grows by the tokens its sampler chooses."""

    def __init__(self, job: Job, index: int, sequence: Any, stream: Any, raw: Any) -> None:
        self.job, self.index = job, index
        self.sequence, self.stream, self.raw = sequence, stream, raw
        self.n_known = 0  # tokens of the sequence that are the prompt or were given out
        self.n_generated = 0
        self.n_bytes = 0  # of the tokens
        self.n_shown = 0  # bytes of the text that was given out
        self.held: list[tuple[int, Chosen]] = []  # where in the text they begin, until it is shown

    def close(self) -> None:
        self.sequence.close()
        self.stream.close()
        if self.raw is not None:
            self.raw.close()


class _Prompt:
    """All but the last token of a prompt that several answers share: they are forked from it."""

    def __init__(self, job: Job, sequence: Any, n_tokens: int) -> None:
        self.job, self.sequence, self.n_tokens = job, sequence, n_tokens

    def close(self) -> None:
        self.sequence.close()


class _Input:
    """A sequence whose vector is wanted."""

    def __init__(self, job: Job, index: int, sequence: Any, pages: int) -> None:
        self.job, self.index, self.sequence, self.pages = job, index, sequence, pages

    def close(self) -> None:
        self.sequence.close()


class Scheduler:
    def __init__(self, engine: Engine, max_waiting: int,
                 on_step: Callable[[float], None] = lambda seconds: None) -> None:
        self.engine, self.max_waiting = engine, max_waiting
        self.snapshot = Snapshot()
        self._on_step = on_step
        self._lock = threading.Condition()
        self._submitted: collections.deque[Job] = collections.deque()
        self._accepting, self._stopping, self._woken = True, False, False
        self._unfinished = 0  # jobs accepted and not done
        self._finish_times: collections.deque[float] = collections.deque(maxlen=64)
        # Of the scheduler's thread alone:
        self._waiting: collections.deque[Job] = collections.deque()
        self._live: list[_Answer | _Prompt | _Input] = []
        self._jobs: set[Job] = set()  # those that have begun
        self._inputs: collections.deque[tuple[Job, int]] = collections.deque()
        self._reserved = 0
        self._done: list[Job] = []  # whose last events are not under way yet
        self._count = Snapshot()
        self._thread = threading.Thread(target=self._run, name=f"scheduler-{engine.name}",
                                        daemon=True)
        self._thread.start()

    # ---- from any thread

    def submit(self, jobs: list[Job]) -> None:
        """All or none: Full or Stopped, or their events come to their inbox."""
        with self._lock:
            if not self._accepting:
                raise Stopped
            if self._unfinished - len(self._jobs) >= self.max_waiting:
                raise Full(self._retry_after())
            self._unfinished += len(jobs)
            self._submitted += jobs
            self._wake()

    def cancel(self, jobs: list[Job]) -> None:
        """Nobody wants them: what they have is given back before the next step."""
        for job in jobs:
            job.cancelled = True
        with self._lock:
            self._wake()

    def refuse(self) -> None:
        """Takes no more jobs; those accepted go on."""
        with self._lock:
            self._accepting = False

    @property
    def idle(self) -> bool:
        return self._unfinished == 0

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Ends the thread after its step; what runs fails."""
        with self._lock:
            self._accepting, self._stopping = False, True
            self._wake()
        self._thread.join()
        self.engine.close()

    def _wake(self) -> None:
        self._woken = True
        self._lock.notify()

    def _retry_after(self) -> int:
        """Seconds in which as many requests end as wait, at the rate of the last ones."""
        times = self._finish_times
        if len(times) < 2 or times[-1] <= times[0]:
            return 1
        rate = (len(times) - 1) / (times[-1] - times[0])
        return max(1, min(60, round((self._unfinished - len(self._jobs)) / rate)))

    # ---- the scheduler's thread

    def _run(self) -> None:
        try:
            self._loop()
        except Exception:  # a bug: whoever waits must not wait for ever
            log.exception("the scheduler of %s ended", self.engine.name)
            with self._lock:
                self._accepting = False
                self._waiting += self._submitted
                self._submitted.clear()
            for job in list(self._jobs) + list(self._waiting):
                job._outbox.append(Failure(500, "The server had an error."))
            self._send([*self._jobs, *self._waiting, *self._done])

    def _loop(self) -> None:
        while True:
            with self._lock:
                while not (self._woken or self._live or self._inputs):
                    self._lock.wait()
                self._woken = False
                self._waiting += self._submitted
                self._submitted.clear()
                stopping = self._stopping
            if stopping:
                for job in list(self._jobs) + list(self._waiting):
                    self._fail(job, Failure(503, "the server is stopping"))
                self._publish()
                return
            self._drop_cancelled()
            self._admit()
            if self._live:
                self._step()
            self._publish()

    def _drop_cancelled(self) -> None:
        for job in [job for job in self._jobs if job.cancelled]:
            self._count.cancelled += 1
            self._finish(job)
        if any(job.cancelled for job in self._waiting):
            for job in [job for job in self._waiting if job.cancelled]:
                self._count.cancelled += 1
                self._finish(job)
            self._waiting = collections.deque(j for j in self._waiting if not j.cancelled)

    def _room(self) -> int:
        return self.engine.max_running - len(self._live)

    def _admit(self) -> None:
        """In the order in which they came; the first that finds no room makes the others wait."""
        while self._waiting:
            job = self._waiting[0]
            if isinstance(job.work, Generation):
                needs_sequences = job.work.n + (job.work.n > 1)
                needs = self.engine.pages_of(job.work)
            else:
                needs_sequences, needs = 1, 0
                if self._inputs:
                    return
            if self._room() < needs_sequences or self._reserved + needs > self.engine.n_pages:
                return
            self._waiting.popleft()
            self._jobs.add(job)
            self._reserve(job, needs)
            try:
                if isinstance(job.work, Generation):
                    self._begin_generation(job, job.work)
                else:
                    self._inputs += ((job, i) for i in range(len(job.work.inputs)))
                    self._begin_inputs()
            except EngineError as error:
                self._fail(job, Failure(error.http_status, str(error)))
        self._begin_inputs()

    def _reserve(self, job: Job, pages: int) -> None:
        job._reserved += pages
        self._reserved += pages

    def _begin_generation(self, job: Job, work: Generation) -> None:
        if work.n == 1 or len(work.prompt) == 1:
            for index in range(work.n):
                sampler = self.engine.sampler(work.sampler)
                sequence = self.engine.sequence(sampler, index, work.domain)
                self._begin_answer(job, work, job.first + index, sequence, work.prompt)
        else:
            sequence = self.engine.sequence(None, 0, work.domain)
            self._live.append(_Prompt(job, sequence, len(work.prompt) - 1))
            sequence.append(work.prompt[:-1], False)
        self._count.prompt_tokens += len(work.prompt)

    def _begin_answer(self, job: Job, work: Generation, index: int, sequence: Any,
                      tokens: Any) -> None:
        answer = _Answer(job, index, sequence, self.engine.text_stream(work.stop, False),
                         self.engine.text_stream((), True) if work.with_special else None)
        self._live.append(answer)
        answer.n_known = len(work.prompt)
        sequence.append(tokens, True)
        if work.json_schema is not None:  # the end token is one of the answer's
            sequence.constrain(self.engine.grammar(work.json_schema), work.max_tokens - 1)

    def _fork(self, prompt: _Prompt) -> None:
        work = prompt.job.work
        self._live.remove(prompt)
        try:
            for index in range(work.n):
                fork = prompt.sequence.fork(self.engine.sampler(work.sampler), index)
                self._begin_answer(prompt.job, work, prompt.job.first + index, fork,
                                   work.prompt[-1:])
        finally:
            prompt.close()

    def _begin_inputs(self) -> None:
        while self._inputs and self._room() > 0:
            job, index = self._inputs[0]
            if job not in self._jobs:
                self._inputs.popleft()  # it failed, or was cancelled
                continue
            n_tokens = sum(len(tokens) for tokens, _ in job.work.inputs[index])
            pages = -(-n_tokens // self.engine.page_tokens)
            if self._reserved + pages > self.engine.n_pages:
                return
            self._inputs.popleft()
            self._reserve(job, pages)
            try:
                sequence = self.engine.sequence(None, 0, job.work.domain)
                self._live.append(_Input(job, index, sequence, pages))
                for tokens, kind in job.work.inputs[index]:
                    sequence.append(tokens, False, kind)
                    self._count.prompt_tokens += len(tokens)
            except EngineError as error:
                self._fail(job, Failure(error.http_status, str(error)))

    def _step(self) -> None:
        begun = time.perf_counter()
        try:
            self.engine.decode()
        except EngineError as error:
            if error.is_limit:  # what takes the most room goes, the rest runs on
                log.error("no pages for a step: %s", error)
                self._fail(self._live[-1].job, Failure(503, str(error)))
            else:
                log.error("a step failed: %s", error)
                for job in list(self._jobs):
                    self._fail(job, Failure(500, str(error)))
            return
        seconds = time.perf_counter() - begun
        self._count.steps += 1
        self._count.step_seconds += seconds
        self._on_step(seconds)
        for live in list(self._live):
            if live.job not in self._jobs:
                continue
            try:
                if isinstance(live, _Answer):
                    self._read_answer(live)
                elif isinstance(live, _Prompt):
                    if live.sequence.n_computed() >= live.n_tokens:
                        self._fork(live)
                else:
                    self._read_vector(live)
            except EngineError as error:
                self._fail(live.job, Failure(error.http_status, str(error)))

    def _read_vector(self, live: _Input) -> None:
        values = live.sequence.vector(live.job.work.scores)
        if values is None:
            return  # it had no row in this step
        live.job._outbox.append(Vector(live.index, values))
        self._close(live)

    def _read_answer(self, answer: _Answer) -> None:
        tokens = answer.sequence.tokens_from(answer.n_known)
        work = answer.job.work
        for token in tokens:
            answer.n_known += 1
            answer.n_generated += 1
            self._count.generated_tokens += 1
            if token in self.engine.end_tokens:
                self._end_answer(answer, "stop")
                return
            chosen = None
            if work.n_top is not None:
                chosen = answer.sequence.chosen(answer.n_known - 2, token, work.n_top)
            text = answer.stream.push(token)
            raw = answer.raw.push(token) if answer.raw is not None else ""
            if chosen is not None:
                answer.held.append((answer.n_bytes, chosen))
                answer.n_bytes += len(chosen.text)
            if answer.stream.stopped():
                self._end_answer(answer, "stop", text, raw)
                return
            if answer.n_generated >= work.max_tokens:
                self._end_answer(answer, "length", text, raw)
                return
            self._show(answer, text, raw, bool(text))

    def _show(self, answer: _Answer, text: str, raw: str, with_tokens: bool) -> None:
        chosen = tuple(c for _, c in answer.held) if with_tokens else ()
        if with_tokens:
            answer.held.clear()
        answer.n_shown += len(text.encode())
        if text or raw or chosen:
            answer.job._outbox.append(Piece(answer.index, text, raw, chosen))

    def _end_answer(self, answer: _Answer, reason: str, text: str = "", raw: str = "") -> None:
        if not answer.stream.stopped():
            text += answer.stream.finish()
        elif answer.held:  # the tokens of the stop string have no place in the answer
            n_shown = answer.n_shown + len(text.encode())
            answer.held = [(at, chosen) for at, chosen in answer.held if at < n_shown]
        if answer.raw is not None:
            raw += answer.raw.finish()
        self._show(answer, text, raw, True)
        answer.job._outbox.append(End(answer.index, reason, answer.n_generated))
        self._close(answer)

    def _close(self, live: _Answer | _Input) -> None:
        """One of a job's answers or inputs is done; with the last one the job is."""
        live.close()
        self._live.remove(live)
        if isinstance(live, _Input):
            self._reserve(live.job, -live.pages)
        live.job._n_open -= 1
        if live.job._n_open == 0:
            self._finish(live.job)

    def _fail(self, job: Job, failure: Failure) -> None:
        job._outbox.append(failure)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        """Gives back all that the job has."""
        for live in [live for live in self._live if live.job is job]:
            live.close()
            self._live.remove(live)
        self._reserve(job, -job._reserved)
        with self._lock:
            self._jobs.discard(job)
            self._unfinished -= 1
            self._finish_times.append(time.monotonic())
        self._done.append(job)

    # ---- what the step made, into the event loops

    def _publish(self) -> None:
        count = self._count
        count.running, count.waiting = len(self._jobs), len(self._waiting)
        count.sequences, count.pages, count.pages_free, count.library = self.engine.statistics()
        self.snapshot = dataclasses.replace(count)
        self._send([*self._jobs, *self._done])
        self._done.clear()

    def _send(self, jobs: list[Job]) -> None:
        mail: dict[Any, list[tuple[Inbox, list[Event]]]] = {}
        for job in jobs:
            if job._outbox:
                mail.setdefault(job.inbox.loop, []).append((job.inbox, job._outbox))
                job._outbox = []
        for loop, letters in mail.items():
            try:
                loop.call_soon_threadsafe(_deliver, letters)
            except RuntimeError:
                pass  # the loop is closed: nobody reads


def _deliver(letters: list[tuple[Inbox, list[Event]]]) -> None:
    for inbox, events in letters:
        inbox.deliver(events)
