#!/usr/bin/env python3
"""How 1 to 1,000 replicas of a server behave, from the step times of one that were measured.

Conversations begin at random, in bursts, and go on turn by turn after a pause; a turn's prompt is all that was said
before. Each replica computes as the server's scheduler does: in a step a token of every answer that runs and a chunk of
the prompts that wait; a step takes what a step of so many rows took when it was measured. A replica keeps the prefixes
of the conversations it had last. Three ways to choose a replica for a turn are compared, on the same conversations:
at random; the less busy of two; and the conversation's own, by rendezvous hashing, the next one where that is full (as
examples/serve/ray_app.py does).

What it leaves out: that attention takes longer the longer a sequence is, the network, and replicas that fail.

usage: simulate_replicas.py --measure MODEL [--threads N] STEPS.json   measures step times; needs the Python package
       simulate_replicas.py STEPS.json [--replicas 1,10,100,1000] [--load 0.7] [--seconds 120] [--json FILE]
"""

import argparse
import collections
import heapq
import json
import os
import pathlib
import platform
import random
import statistics
import time

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CHUNK = 256  # rows of a step
RUNNING = 64  # answers at once
PAGE = 64
MASK = (1 << 64) - 1


# ---- measuring

def measure(path, threads, out):
    import libtransformer

    model = libtransformer.Model(path)
    times = {}
    for rows in ROWS:
        n = min(rows, RUNNING)  # answers that run; more rows are a prompt's
        with libtransformer.Context(model, max_sequences=n + 1, kv_tokens=(n + 1) * 192 + 12 * CHUNK, max_sequence_tokens=3072,
                                    max_step_tokens=CHUNK, n_threads=threads) as context:
            taken, sequences, prompt = [], [context.sequence() for _ in range(n)], context.sequence()
            for sequence in sequences:
                sequence.append(list(range(10, 74)), logits=libtransformer.Logits.NONE)
            while context.decode().n_pending:
                pass
            for step in range(10):
                for sequence in sequences:
                    sequence.append([100 + step])
                if rows > n:
                    prompt.append([100 + step] * (rows - n), logits=libtransformer.Logits.NONE)
                begun = time.perf_counter()
                context.decode()
                taken.append(time.perf_counter() - begun)
            times[rows] = statistics.median(taken)
            print(f'{rows} rows: {times[rows] * 1e3:.2f} ms', flush=True)
    pathlib.Path(out).write_text(json.dumps({
        'model': pathlib.Path(path).name, 'threads': threads or os.cpu_count(), 'machine': processor(),
        'load_15_minutes': os.getloadavg()[2], 'step_seconds': times}, indent=1) + '\n')


def processor():
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return platform.machine()


class StepTime:
    """Seconds of a step by its rows: straight lines between what was measured."""

    def __init__(self, measured):
        points = sorted((int(rows), seconds) for rows, seconds in measured.items())
        self.table = [points[0][1]]
        for (r0, s0), (r1, s1) in zip(points, points[1:]):
            self.table += [s0 + (s1 - s0) * (r - r0) / (r1 - r0) for r in range(r0, r1)]
        self.table.append(points[-1][1])
        # More rows are never faster: a measurement that says so was disturbed.
        for i in range(1, len(self.table)):
            self.table[i] = max(self.table[i], self.table[i - 1])

    def __call__(self, rows):
        return self.table[min(rows, len(self.table) - 1)]


# ---- what comes

class Conversation:
    def __init__(self, number, random_):
        self.key = number
        self.turns = min(12, 1 + int(random_.expovariate(1 / 3)))
        self.pauses = [random_.expovariate(1 / 15) for _ in range(self.turns)]
        self.asked = [min(1500, max(8, int(random_.lognormvariate(4.5, 0.9)))) for _ in range(self.turns)]
        self.answered = [min(600, max(4, int(random_.lognormvariate(4.6, 0.7)))) for _ in range(self.turns)]
        self.system = 200  # tokens of the system's message
        self.turn, self.said = 0, self.system

    def work(self):
        """Tokens of the turns, prompts as if they were computed once."""
        return self.system + sum(self.asked), sum(self.answered)


def arrivals(rate, seconds, seed):
    """Conversations and when they begin: half of the time at half, half of the time at one and a half of the rate."""
    random_ = random.Random(seed)
    at, number, out, busy, until = 0.0, 0, [], False, 0.0
    while at < seconds:
        if at >= until:
            busy, until = not busy, at + random_.uniform(5, 15)
        at += random_.expovariate(rate * (1.5 if busy else 0.5))
        out.append((at, Conversation(number, random_)))
        number += 1
    return out


# ---- one replica

class Request:
    __slots__ = ('conversation', 'begun', 'prompt', 'prefill', 'left', 'first')

    def __init__(self, conversation, now):
        self.conversation, self.begun, self.first = conversation, now, None
        self.prompt = conversation.said + conversation.asked[conversation.turn]
        self.left = conversation.answered[conversation.turn]
        self.prefill = self.prompt


class Replica:
    """Steps are taken as far as is known that nothing comes between them."""

    def __init__(self, step_time, kept_tokens):
        self.step_time, self.kept_tokens = step_time, kept_tokens
        self.waiting, self.prefilling, self.running = collections.deque(), collections.deque(), []
        self.kept, self.n_kept = collections.OrderedDict(), 0
        self.now, self.version, self.busy = 0.0, 0, 0.0

    @property
    def n_requests(self):
        return len(self.waiting) + len(self.prefilling) + len(self.running)

    def add(self, request):
        kept = self.kept.get(request.conversation.key, 0)
        hit = min(kept, request.prompt - 1) // PAGE * PAGE
        request.prefill = request.prompt - hit
        self.waiting.append(request)
        return hit

    def keep(self, key, tokens):
        self.n_kept += tokens - self.kept.pop(key, 0)
        self.kept[key] = tokens
        while self.n_kept > self.kept_tokens:
            self.n_kept -= self.kept.popitem(last=False)[1]

    def admit(self):
        while self.waiting and len(self.running) + len(self.prefilling) < RUNNING:
            self.prefilling.append(self.waiting.popleft())

    def advance(self, until, first, done):
        """Steps that begin before `until`. done(request, time) for each that ends."""
        while self.now < until:
            self.admit()
            if not (self.prefilling or self.running):
                self.now = until
                return
            if self.prefilling:
                n, rows = 1, len(self.running)
                room = max(1, CHUNK - rows)
                ends = []
                for request in self.prefilling:
                    taken = min(request.prefill, room)
                    request.prefill -= taken
                    room -= taken
                    rows += taken
                    if request.prefill == 0:
                        ends.append(request)
                    if room == 0:
                        break
                seconds = self.step_time(rows)
            else:
                ends, rows = [], len(self.running)
                seconds = self.step_time(rows)
                n = max(1, min(min(r.left for r in self.running), -int(-(until - self.now) // seconds)))
            self.now += n * seconds
            self.busy += n * seconds
            for request in self.running:
                request.left -= n
            for request in ends:
                self.prefilling.popleft()
                request.first = self.now
                first(request)
                request.left -= 1
                self.running.append(request)
            if any(request.left <= 0 for request in self.running):
                for request in [r for r in self.running if r.left <= 0]:
                    self.keep(request.conversation.key,
                              request.prompt + request.conversation.answered[request.conversation.turn])
                    done(request, self.now)
                self.running = [r for r in self.running if r.left > 0]

    def next_event(self):
        """When something ends here, if nothing else comes."""
        if self.prefilling or self.waiting:
            return self.now + 1e-9
        if not self.running:
            return None
        return self.now + (min(r.left for r in self.running) - 0.5) * self.step_time(len(self.running))


# ---- routing

def mixed(x):
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & MASK
    return x ^ (x >> 31)


class Routing:
    def __init__(self, kind, replicas):
        self.kind, self.replicas, self.random = kind, replicas, random.Random(7)
        self.order = {}

    def choose(self, conversation):
        replicas = self.replicas
        if self.kind == 'random':
            return self.random.choice(replicas)
        if self.kind == 'two':
            return min(self.random.choice(replicas), self.random.choice(replicas), key=lambda r: r.n_requests)
        if conversation.key not in self.order:
            key = mixed(conversation.key)
            weights = ((mixed(key ^ i), i) for i in range(len(replicas)))
            self.order[conversation.key] = [i for _, i in heapq.nlargest(4, weights)]
        for i in self.order[conversation.key]:
            if replicas[i].n_requests < RUNNING:
                return replicas[i]
        return min(replicas[self.order[conversation.key][0]], self.random.choice(replicas), key=lambda r: r.n_requests)


# ---- the simulation

def simulate(n, kind, step_time, rate, seconds, kept_tokens, seed):
    replicas = [Replica(step_time, kept_tokens) for _ in range(n)]
    routing = Routing(kind, replicas)
    events, count = [], 0
    first_times, hits, asked, tokens, answers = [], 0, 0, 0, 0
    for at, conversation in arrivals(rate, seconds, seed):
        heapq.heappush(events, (at, count := count + 1, conversation, None, 0))

    def first(request):
        if request.begun > seconds * 0.1:  # after the beginning, when all are empty
            first_times.append(request.first - request.begun)

    def done(request, at):
        nonlocal count, tokens, answers
        conversation = request.conversation
        tokens += conversation.answered[conversation.turn]
        answers += 1
        conversation.said = request.prompt + conversation.answered[conversation.turn]
        pause = conversation.pauses[conversation.turn]
        conversation.turn += 1
        if conversation.turn < conversation.turns and conversation.said < 3000:
            heapq.heappush(events, (at + pause, count := count + 1, conversation, None, 0))

    now = 0.0
    while events:
        now, _, conversation, replica, version = heapq.heappop(events)
        if now > seconds:
            break
        if conversation is not None:
            replica = routing.choose(conversation)
            replica.advance(now, first, done)
            request = Request(conversation, now)
            asked += request.prompt
            hits += replica.add(request)
        elif version != replica.version:
            continue
        else:
            replica.advance(now + 1e-9, first, done)
        replica.version += 1
        if (at := replica.next_event()) is not None:
            heapq.heappush(events, (at, count := count + 1, None, replica, replica.version))
    first_times.sort()
    if not first_times:
        raise SystemExit('nothing was answered: more seconds or more load are needed')
    return {'replicas': n, 'routing': kind, 'answers': answers, 'tokens_per_second': tokens / seconds,
            'first_token_p50': first_times[len(first_times) // 2],
            'first_token_p99': first_times[len(first_times) * 99 // 100],
            'prefix_hits': hits / asked, 'busy': sum(min(r.busy, seconds) for r in replicas) / n / seconds,
            'unfinished': sum(r.n_requests for r in replicas)}


def rate_for(step_time, load):
    """Conversations a second that keep one replica so busy, were every prompt computed once and 32 answers ran at once."""
    random_, seconds = random.Random(1), 0.0
    for number in range(2000):
        prompt, answer = Conversation(number, random_).work()
        seconds += prompt / CHUNK * step_time(CHUNK) + answer * step_time(32) / 32
    return load * 2000 / seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('steps', help='measured step times')
    parser.add_argument('--measure', metavar='MODEL')
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--replicas', default='1,10,100,1000')
    parser.add_argument('--load', type=float, default=0.7)
    parser.add_argument('--seconds', type=float, default=120)
    parser.add_argument('--kept-tokens', type=int, default=65536, help='of prefixes in a replica')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json')
    given = parser.parse_args()
    if given.measure:
        measure(given.measure, given.threads, given.steps)
        return
    measured = json.loads(pathlib.Path(given.steps).read_text())
    step_time = StepTime(measured['step_seconds'])
    rate = rate_for(step_time, given.load)
    print(f'{measured["model"]}, {measured["threads"]} threads, {measured["machine"]}; {rate:.2f} conversations a second '
          f'for each replica')
    print('| replicas | routing | tokens/s | first token p50 | p99 | prompt tokens found | busy |\n|---|---|---|---|---|---|---|')
    results = []
    for n in map(int, given.replicas.split(',')):
        for kind in ('random', 'two', 'conversation'):
            found = simulate(n, kind, step_time, rate * n, given.seconds, given.kept_tokens, given.seed)
            results.append(found)
            print(f'| {n} | {kind} | {found["tokens_per_second"]:.0f} | {found["first_token_p50"] * 1e3:.0f} ms | '
                  f'{found["first_token_p99"] * 1e3:.0f} ms | {found["prefix_hits"]:.0%} | {found["busy"]:.0%} |', flush=True)
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps({'measured': measured, 'results': results}, indent=1))


if __name__ == '__main__':
    main()
