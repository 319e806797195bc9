#!/usr/bin/env python3
"""Throughput of two servers with the same model and the same requests: examples/serve here, and llama-cpp-python's.

Each is started alone, in turn, and asked by as many clients as are given, each for one streamed answer after another;
counted are the tokens that came. Needs the packages of examples/serve, and llama-cpp-python[server] in --peer.

usage: serve.py --model FILE [--peer PYTHON] [--clients 16] [--requests 4] [--tokens 64] [--rounds 2] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOPICS = ['rivers', 'mountains', 'bread', 'trains', 'the moon', 'bees', 'paper', 'salt', 'bridges', 'violins', 'glass',
          'tea', 'maps', 'clocks', 'wool', 'volcanoes']


def free_port():
    with socket.socket() as made:
        made.bind(('127.0.0.1', 0))
        return made.getsockname()[1]


def commands(given):
    ours, peer = free_port(), free_port()
    out = {'libtransformer': (ours, [
        sys.executable, '-m', 'transformer_serve', '--model', f'model={given.model}', '--port', str(ours),
        '--max-sequence-tokens', '2048', '--threads', str(given.threads)])}
    if given.peer:
        out['llama_cpp.server'] = (peer, [
            given.peer, '-m', 'llama_cpp.server', '--model', given.model, '--model_alias', 'model', '--port', str(peer),
            # By default a new request ends the one that runs; without, requests wait for each other.
            '--interrupt_requests', 'false', '--n_ctx', '2048', '--n_threads', str(given.threads), '--n_threads_batch', str(given.threads)])
    return out


async def client(http, number, given, times):
    tokens = 0
    for request in range(given.requests):
        topic = TOPICS[(number + request) % len(TOPICS)]
        body = {'model': 'model', 'prompt': f'A short text ({number}.{request}) for children on {topic}, in plain words:',
                'max_tokens': given.tokens, 'temperature': 0, 'stream': True}
        begun, first = time.perf_counter(), None
        async with http.stream('POST', '/v1/completions', json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith('data: {') and json.loads(line[6:])['choices'][0]['text']:
                    first = first or time.perf_counter() - begun
                    tokens += 1  # both send an event for each, where it completes a character
        times.append((first, time.perf_counter() - begun))
    return tokens


async def measure(port, given):
    times = []
    limits = httpx.Limits(max_connections=given.clients)
    async with httpx.AsyncClient(base_url=f'http://127.0.0.1:{port}', timeout=600, limits=limits) as http:
        begun = time.perf_counter()
        tokens = sum(await asyncio.gather(*(client(http, number, given, times) for number in range(given.clients))))
        seconds = time.perf_counter() - begun
    first = sorted(t[0] for t in times if t[0])
    return {'tokens': tokens, 'seconds': seconds, 'tokens_per_second': tokens / seconds,
            'first_token_median': statistics.median(first), 'first_token_p95': first[len(first) * 95 // 100]}


def wait_for(port, process):
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f'http://127.0.0.1:{port}/v1/models').status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError('the server does not start')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--model', required=True)
    parser.add_argument('--peer', help='a Python that has llama-cpp-python[server]')
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--requests', type=int, default=4)
    parser.add_argument('--tokens', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--json')
    given = parser.parse_args()
    results = {}
    for _ in range(given.rounds):
        for name, (port, command) in commands(given).items():
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for(port, process)
                found = asyncio.run(measure(port, given))
                results.setdefault(name, []).append(found)
                print(f'{name}: {found["tokens_per_second"]:.1f} tokens/s, first token {found["first_token_median"]:.2f} s '
                      f'(median), {found["first_token_p95"]:.2f} s (p95)', flush=True)
            finally:
                process.terminate()
                process.wait(60)
    best = {name: max(run['tokens_per_second'] for run in runs) for name, runs in results.items()}
    load = os.getloadavg()[2]
    print(f'{given.clients} clients, {given.threads} threads, {platform.processor() or platform.machine()}, '
          f'load of the last 15 minutes {load:.1f}: ' + ', '.join(f'{name} {speed:.1f}' for name, speed in best.items()))
    if len(best) == 2:
        ours, peer = best.values()
        print(f'{ours / peer:.2f} times the tokens of {list(best)[1]}')
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps({'results': results, 'load': load, 'arguments': vars(given)}, indent=1))


if __name__ == '__main__':
    main()
