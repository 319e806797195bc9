#!/usr/bin/env python3
"""Many clients at once who stream, go away, send what is broken, or read slowly.

No answer is an error that was not asked for, each is what the same request gets alone, the process's memory stays
flat, and all pages are back in the end.

usage: load.py [--seconds N] [--clients N] [--model FILE]
"""

import argparse
import asyncio
import collections
import json
import random
import sys
import time

from server import SMALL, Server

BROKEN = [b'', b'{', b'[]', b'null', b'\xff\xfe\x00', b'{"model":"small"}', b'{"model":"small","prompt":[-1]}',
          b'{"model":"small","prompt":"x","max_tokens":-5}', b'{"model":"other","prompt":"x"}', b'[' * 5000,
          b'{"model":"small","prompt":"x","nothing":1}', b'{"model":"small","prompt":"\\ud800"}',
          b'{"model":"small","prompt":"x","max_tokens":99999999}', b'{"model":"small","prompt":{"a":1}}']
GROWTH = 24 << 20  # bytes that allocators may keep beside what they had after the first third


def requests():
    """Requests of their own prompts and seeds, short and long, streamed all."""
    out = []
    for i in range(48):
        body = {'model': 'small', 'stream': True, 'seed': i, 'max_tokens': 8 + i * 37 % 90, 'logprobs': None,
                'prompt': f'{i} the river and the stone ' * (1 + i % 7 * 4)}
        if i % 5 == 0:
            body['n'] = 2
        if i % 3 == 0:
            body['temperature'] = 0
        out.append(body)
    return out


class Connection:
    """One request over a socket of its own."""

    async def open(self, server, body, length=None):
        host, port = server.url[7:].split(':')
        self.reader, self.writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
        self.writer.write(b'POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n'
                          % (len(body) if length is None else length) + body)
        await self.writer.drain()

    async def status(self):
        line = await self.reader.readline()
        while (await self.reader.readline()).strip():
            pass
        return int(line.split()[1])

    async def chunks(self):
        while True:
            size = int((await self.reader.readline()).strip() or b'0', 16)
            data = await self.reader.readexactly(size + 2)
            if size == 0:
                return
            yield data[:-2]

    def close(self):
        self.writer.close()


def text_of(data):
    """Texts and reasons of a stream's answers; the last event must be there."""
    answers = collections.defaultdict(lambda: ['', None])
    events = [event[6:] for event in data.decode().split('\n\n') if event]
    if not events or events[-1] != '[DONE]':
        raise ValueError('the stream broke off: ' + repr(events[-1:]))
    for event in events[:-1]:
        chunk = json.loads(event)
        if 'error' in chunk:
            raise ValueError(chunk['error']['message'])
        for choice in chunk['choices']:
            answers[choice['index']][0] += choice['text']
            answers[choice['index']][1] = choice['finish_reason'] or answers[choice['index']][1]
    return {index: tuple(answer) for index, answer in answers.items()}


async def whole(server, body, pause=lambda: 0):
    connection = Connection()
    await connection.open(server, json.dumps(body).encode())
    try:
        status = await connection.status()
        if status != 200:
            raise ValueError(f'status {status}: ' + (await connection.reader.read(500)).decode('utf-8', 'replace'))
        data = b''
        async for chunk in connection.chunks():
            data += chunk
            if pause():
                await asyncio.sleep(pause())
        return text_of(data)
    finally:
        connection.close()


class Load:
    def __init__(self, server, seconds):
        self.server, self.seconds, self.end = server, seconds, 0.0
        self.bodies, self.alone = requests(), []
        self.count, self.errors = collections.Counter(), []

    async def client(self, number):
        random_ = random.Random(number)
        while time.monotonic() < self.end and len(self.errors) < 20:
            kind = random_.choices(('whole', 'slow', 'leaves', 'broken', 'half'), (50, 10, 25, 10, 5))[0]
            try:
                await getattr(self, kind)(random_)
            except (OSError, ValueError, IndexError, asyncio.IncompleteReadError) as error:
                self.errors.append(f'{kind}: {type(error).__name__}: {error}')
            self.count[kind] += 1

    async def whole(self, random_, pause=lambda: 0):
        index = random_.randrange(len(self.bodies))
        answer = await whole(self.server, self.bodies[index], pause)
        if answer != self.alone[index]:
            self.errors.append(f'request {index}: {answer} is not {self.alone[index]}')

    async def slow(self, random_):
        await self.whole(random_, lambda: random_.random() * 0.1)

    async def leaves(self, random_):
        """At once, while it waits, or in the middle of the answer."""
        connection = Connection()
        await connection.open(self.server, json.dumps(random_.choice(self.bodies)).encode())
        try:
            after = random_.randrange(12)
            if after == 0:
                return
            if after < 3:
                await asyncio.sleep(random_.random() * 0.05)
                return
            await connection.status()
            async for _ in connection.chunks():
                after -= 1
                if after == 0:
                    return
        finally:
            connection.close()

    async def broken(self, random_):
        connection = Connection()
        await connection.open(self.server, random_.choice(BROKEN))
        status = await connection.status()
        connection.close()
        if status not in (400, 404):
            raise ValueError(f'status {status}')

    async def half(self, random_):
        body = json.dumps(random_.choice(self.bodies)).encode()
        connection = Connection()
        await connection.open(self.server, body[:len(body) // 2], len(body))
        await asyncio.sleep(random_.random() * 0.1)
        connection.close()

    async def run(self, n_clients, sizes):
        for body in self.bodies:
            self.alone.append(await whole(self.server, body))
        begun = time.monotonic()
        self.end = begun + self.seconds
        tasks = [asyncio.create_task(self.client(number)) for number in range(n_clients)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.25)
            sizes.append((time.monotonic() - begun, self.server.resident()))
        await asyncio.gather(*tasks)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=float, default=120)
    parser.add_argument('--clients', type=int, default=64)
    parser.add_argument('--model', default=str(SMALL))
    given = parser.parse_args()
    server = Server('--max-running', '48', '--max-waiting', '256', models=(f'small={given.model}',))
    try:
        load, sizes = Load(server, given.seconds), []
        asyncio.run(load.run(given.clients, sizes))
        errors = load.errors
        if not server.wait_for(server.is_empty):
            errors.append(f'pages free: {server.metric("pages_free")} of {server.metric("pages")}, '
                          f'sequences {server.metric("sequences")}')
        third = [size for at, size in sizes if at < given.seconds / 3]
        last = [size for at, size in sizes if at > given.seconds * 2 / 3]
        growth = max(last) - max(third)
        if growth > GROWTH:
            errors.append(f'memory grew by {growth / 2**20:.1f} MiB')
        if min(load.count[kind] for kind in ('whole', 'slow', 'leaves', 'broken', 'half')) == 0:
            errors.append(f'some kind of client did not come: {dict(load.count)}')
        print(f'{given.clients} clients, {given.seconds:g} s: {dict(load.count)}, '
              f'{server.metric("generated_tokens_total"):.0f} tokens, memory {max(last) / 2**20:.1f} MiB '
              f'({growth / 2**20:+.1f})')
        if 'Traceback' in server.log():
            errors.append(server.log())
        for error in errors[:20]:
            print('FAILED', error[:2000])
        return 1 if errors else 0
    finally:
        server.close()


if __name__ == '__main__':
    sys.exit(main())
