"""One thread drives one context. Requests join and leave between its steps.

A step computes whatever is pending: a token of every answer that runs and chunks of the prompts that
came in. The bits of an answer depend on its own tokens, seed and number alone, so who shares the
step doesn't matter.

Pages for the longest that a request may become are rarely all needed, so more requests run than
these would be there for (`Overcommit`). When pages run out the library takes those of the youngest
sequence, whose tokens are computed again later, to the same bits; the oldest always gets on.
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
    preempted: int = 0
    overcommit: float = 1.0
    library: dict[str, int] = dataclasses.field(default_factory=dict)


class Overcommit:
    """How many times the pages of the cache are promised to requests that may never need them.

    1 is none: then everything fits, whatever comes, and nothing is ever taken back. It grows slowly
    while requests end and falls at each step that had to take pages back, so that what is computed
    twice stays a small part of the work however long the answers are. Nobody new begins while a
    sequence waits for its pages to come back, nor where the next pages of those that run aren't free.
    """

    GROWTH, CUT = 0.05, 0.7

    def __init__(self, most: float) -> None:
        self.most, self.factor = most, most

    def taken_back(self) -> None:
        self.factor = max(1.0, self.factor * self.CUT)

    def ended(self) -> None:
        self.factor = min(self.most, self.factor + self.GROWTH)


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
        self.trigger = job.work.trigger
        self.written = b""  # the end of the answer, where a trigger's mark is looked for

    def close(self) -> None:
        self.sequence.close()
        self.stream.close()
        if self.raw is not None:
            self.raw.close()


class _Prompt:
    """All but the last token of a prompt that several answers share: they are forked from it."""

    def __init__(self, job: Job, sequence: Any, n_tokens: int) -> None:
        self.job, self.sequence, self.n_known = job, sequence, n_tokens

    def close(self) -> None:
        self.sequence.close()


class _Input:
    """A sequence whose vector is wanted."""

    def __init__(self, job: Job, index: int, sequence: Any, n_tokens: int, pages: int) -> None:
        self.job, self.index, self.sequence = job, index, sequence
        self.n_known, self.pages = n_tokens, pages

    def close(self) -> None:
        self.sequence.close()


def pages_for_all(engine: Engine, live: list[_Answer | _Prompt | _Input]) -> int:
    """What sequences need for the tokens that they have, and one more page each."""
    return sum(engine.pages_for(one.n_known) - engine.pages_for(one.sequence.n_computed()) + 1
               for one in live)


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
        self._is_short = False  # the last step had too few pages for all
        self._overcommit = Overcommit(engine.overcommit)
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
        """Sequences that may still be made, those besides that prompts will be forked into."""
        forks = sum(live.job.work.n for live in self._live if isinstance(live, _Prompt))
        return self.engine.max_running - len(self._live) - forks

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
            if self._room() < needs_sequences or not self._has_pages(job.work, needs):
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

    def _has_pages(self, work: Generation | Vectors, needs: int) -> bool:
        """Whether a request may begin. One that is alone may: what never fits was refused."""
        if not self._jobs:
            return True
        if self._reserved + needs <= self.engine.n_pages:
            return True
        if isinstance(work, Vectors) or (self._reserved + needs
                                         > self.engine.n_pages * self._overcommit.factor):
            return False
        if self._is_short:
            return False
        pages_for, soon = self.engine.pages_for, pages_for_all(self.engine, self._live)
        free = self.engine.n_pages * self._count.pages_free // max(1, self._count.pages)
        return soon + pages_for(len(work.prompt)) + work.n <= free

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
        if work.grammar is not None:  # the end token is one of the answer's
            sequence.constrain(self.engine.grammar(*work.grammar), work.max_tokens - 1)

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
                self._live.append(_Input(job, index, sequence, n_tokens, pages))
                for tokens, kind in job.work.inputs[index]:
                    sequence.append(tokens, False, kind)
                    self._count.prompt_tokens += len(tokens)
            except EngineError as error:
                self._fail(job, Failure(error.http_status, str(error)))

    def _step(self) -> None:
        begun = time.perf_counter()
        try:
            step = self.engine.decode()
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
        self._is_short = step.n_refused > 0 or step.n_preempted > 0
        if step.n_preempted:
            self._count.preempted += step.n_preempted
            self._overcommit.taken_back()
        self._on_step(seconds)
        for live in list(self._live):
            if live.job not in self._jobs:
                continue
            try:
                if isinstance(live, _Answer):
                    self._read_answer(live)
                elif isinstance(live, _Prompt):
                    if live.sequence.n_computed() >= live.n_known:
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
            is_end, pulled, chosen = token in self.engine.end_tokens, "", None
            if work.n_top is not None and not is_end:
                chosen = answer.sequence.chosen(answer.n_known - 1, token, work.n_top)
            if answer.trigger is not None and not is_end:
                pulled = self._pull_trigger(answer, token)
                if pulled == "again":
                    return
            answer.n_known += 1
            answer.n_generated += 1
            self._count.generated_tokens += 1
            if is_end:
                self._end_answer(answer, "stop")
                return
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
            if pulled:
                return  # what the step chose behind it was taken back

    # ---- grammars that begin within an answer

    def _pull_trigger(self, answer: _Answer, token: int) -> str:
        """Where the token completes a trigger's mark, what follows is of its grammar: "here", and what
        the step chose behind it is taken back; or "again": this one is too, being none of it."""
        trigger, sequence = answer.trigger, answer.sequence
        text = self.engine.token_text(token)
        mark, written = trigger.mark, answer.written + text
        at = written.find(mark)
        if at < 0:
            answer.written = written if trigger.at_start else written[1 - len(mark):]
            if trigger.at_start and not mark.startswith(written):
                answer.trigger = None
            return ""
        if trigger.at_start and at > 0:
            answer.trigger = None
            return ""
        answer.trigger = None
        end = at + len(mark)
        n_in_token = min(end - (len(written) - len(text)), len(mark))  # bytes of it in this token
        extra = written[end:]
        budget = answer.job.work.max_tokens - 1 - answer.n_generated
        n = answer.n_known  # the token's place
        try:
            if not extra:
                grammar = self.engine.grammar("ebnf", trigger.grammar(""))
                sequence.truncate(n)
                sequence.append([token], True)
                sequence.constrain(grammar, budget - 1)
                return "here"
            tail = mark[len(mark) - n_in_token:].decode("utf-8", "strict")
            before = text[:len(text) - len(extra) - n_in_token].decode("utf-8", "strict")
            grammar = self.engine.grammar("ebnf", trigger.grammar(before + tail))
            if self.engine.begins(grammar, text):
                sequence.truncate(n)
                sequence.constrain(grammar, budget)
                sequence.append([token], True)
                return "here"
            last = sequence.tokens_from(n - 1)[:1]
            sequence.truncate(n - 1)
            sequence.append(last, True)
            sequence.constrain(grammar, budget)
            return "again"
        except UnicodeDecodeError:
            return ""  # the mark begins within a character: what follows is free
        except EngineError as error:
            if not error.is_limit:
                raise
            if not sequence.tokens_from(n):
                sequence.append([token], True)
            return ""  # no call fits what is left of the answer

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
        if job in self._jobs:
            self._overcommit.ended()
        with self._lock:
            self._jobs.discard(job)
            self._unfinished -= 1
            self._finish_times.append(time.monotonic())
        self._done.append(job)

    # ---- what the step made, into the event loops

    def _publish(self) -> None:
        count = self._count
        count.overcommit = self._overcommit.factor
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
