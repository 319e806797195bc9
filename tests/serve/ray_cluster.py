#!/usr/bin/env python3
"""The Ray Serve application on a cluster of two nodes on this machine: load over both, conversations that stay where
they are, a replica that is killed, scaling up and down, a new deployment under load.

usage: ray_cluster.py [TEST...]     needs the packages of examples/serve[ray]
"""

import asyncio
import collections
import json
import os
import signal
import socket
import time
import unittest

import httpx
import ray
from ray import serve
from ray.cluster_utils import Cluster

import ray_app
from server import SMALL, TEMPLATE

NO_END = {'0': -100, '2': -100}  # the end tokens


def free_port():
    with socket.socket() as made:
        made.bind(('127.0.0.1', 0))
        return made.getsockname()[1]


def arguments(**named):
    return ray_app.Arguments(**{'model': f'small={SMALL}', 'chat_template': TEMPLATE, 'min_replicas': 2, 'max_replicas': 2,
                                'threads': 1, 'upscale_delay': 1, 'downscale_delay': 3, 'look_back': 11, 'drain_timeout': 30,
                                **named})


def chat(text, **named):
    return {'model': 'small', 'seed': 4, 'max_tokens': 16, 'messages': [{'role': 'user', 'content': text}], **named}


class Answer:
    """What came of one request: text, whether it was whole, which replica gave it."""

    def __init__(self, response):
        self.status = response.status_code
        self.replica, pid, self.node = response.headers.get('x-replica', '- 0 -').split()
        self.pid = int(pid)
        self.text, self.error, self.done, self.times = '', None, False, []


class RayCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 2, 'include_dashboard': False})
        cls.cluster.add_node(num_cpus=2)
        cls.cluster.wait_for_nodes()
        ray.init(address=cls.cluster.address, log_to_driver=bool(os.environ.get('VERBOSE')))
        cls.port = free_port()
        serve.start(http_options={'host': '127.0.0.1', 'port': cls.port})
        cls.url = f'http://127.0.0.1:{cls.port}/v1/chat/completions'

    @classmethod
    def tearDownClass(cls):
        serve.shutdown()
        ray.shutdown()
        cls.cluster.shutdown()

    def deploy(self, **named):
        serve.run(ray_app.build(arguments(**named)), name='app')

    def n_replicas(self):
        states = serve.status().applications['app'].deployments['Replica'].replica_states
        return states.get('RUNNING', 0), sum(states.values())

    def wait_for(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, 'it took too long')
            time.sleep(0.2)

    def together(self, work):
        async def run():
            async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=200)) as http:
                return await work(http)
        return asyncio.run(run())

    async def ask(self, http, body):
        response = await http.post(self.url, json=body)
        answer = Answer(response)
        if answer.status == 200:
            answer.text, answer.done = response.json()['choices'][0]['message']['content'], True
        else:
            answer.error = response.text
        return answer

    async def stream(self, http, body, begun=lambda answer: None):
        async with http.stream('POST', self.url, json={**body, 'stream': True}) as response:
            answer = Answer(response)
            async for line in response.aiter_lines():
                if line == 'data: [DONE]':
                    answer.done = True
                elif line.startswith('data: '):
                    event = json.loads(line[6:])
                    if 'error' in event:
                        answer.error = event['error']
                        continue
                    answer.text += event['choices'][0]['delta'].get('content') or ''
                    answer.times.append(time.monotonic())
                    begun(answer)
            return answer

    def test_1_load(self):
        """Both nodes answer, alike; each conversation stays where it is, streamed or not."""
        self.deploy()
        self.assertEqual(self.n_replicas(), (2, 2))
        bodies = [chat(f'the river {i}') for i in range(40)]

        async def work(http):
            return (await asyncio.gather(*(self.ask(http, body) for body in bodies)),
                    await asyncio.gather(*(self.stream(http, body) for body in bodies)))

        whole, streamed = self.together(work)
        self.assertEqual([a.error for a in whole + streamed], [None] * 80)
        self.assertTrue(all(answer.done for answer in streamed))
        self.assertEqual([a.text for a in whole], [a.text for a in streamed])
        self.assertEqual(len({a.replica for a in whole}), 2)
        self.assertEqual([a.replica for a in whole], [a.replica for a in streamed])
        counts = collections.Counter(a.replica for a in whole)
        self.assertGreaterEqual(min(counts.values()), 8, counts)
        nodes = {answer.node for answer in whole}
        self.assertEqual(len(nodes), 2, 'one replica on each node')

        async def turns(http):
            messages, replicas = [{'role': 'user', 'content': 'the sea'}], []
            for _ in range(5):
                answer = await self.ask(http, {**chat(''), 'messages': messages})
                replicas.append(answer.replica)
                messages = messages + [{'role': 'assistant', 'content': answer.text}, {'role': 'user', 'content': 'more'}]
            return replicas

        self.assertEqual(len(set(self.together(turns))), 1)
        with httpx.Client(timeout=30) as http:
            self.assertEqual(http.post(self.url, content=b'{').status_code, 400)
            self.assertEqual(http.post(self.url, json={**chat('x'), 'model': 'other'}).status_code, 404)
            self.assertEqual(http.post(self.url, content=b'x' * ((4 << 20) + 1)).status_code, 413)
            self.assertEqual(http.get(f'http://127.0.0.1:{self.port}/v1/models').json()['data'][0]['id'], 'small')

    def test_2_streams_through(self):
        self.deploy()
        begun = time.monotonic()
        answer = self.together(lambda http: self.stream(http, chat('the river', max_tokens=1900, logit_bias=NO_END)))
        self.assertTrue(answer.done)
        self.assertGreater(len(answer.times), 20)
        self.assertLess(answer.times[0] - begun, (answer.times[-1] - begun) / 2)  # it came as it was made

    def test_3_disconnect(self):
        """A client that goes away: the replica behind stops too."""
        self.deploy()

        async def work(http):
            replicas = set()
            for i in range(6):
                async with http.stream('POST', self.url, json=chat(f'the river {i}', max_tokens=1900, logit_bias=NO_END,
                                                                   stream=True)) as response:
                    replicas.add(response.headers['x-replica'])
                    async for _ in response.aiter_lines():
                        break
            await asyncio.sleep(1.0)
            running = collections.Counter()
            for _ in range(20):  # of whichever replica answers
                response = await http.get(f'http://127.0.0.1:{self.port}/metrics')
                for line in response.text.splitlines():
                    if line.startswith('transformer_sequences{'):
                        running[response.headers['x-replica']] = float(line.split()[-1])
            return running

        running = self.together(work)
        self.assertEqual(len(running), 2)
        self.assertEqual(set(running.values()), {0.0})

    def test_4_killed(self):
        """What the killed replica had begun to send fails cleanly; what it had not is answered by the other; the rest
        sees nothing of it."""
        self.deploy()
        bodies = [chat(f'the river {i}', max_tokens=1500, logit_bias=NO_END) for i in range(12)]

        async def references(http):
            return [(await self.ask(http, body)).text for body in bodies]

        alone = self.together(references)

        async def work(http):
            killed = asyncio.get_running_loop().create_future()

            def begun(answer):
                if len(answer.times) == 20 and not killed.done():
                    killed.set_result(answer.pid)
                    os.kill(answer.pid, signal.SIGKILL)

            streams = [asyncio.create_task(self.stream(http, body, begun)) for body in bodies]
            wholes = [asyncio.create_task(self.ask(http, body)) for body in bodies]
            return await killed, await asyncio.gather(*streams), await asyncio.gather(*wholes)

        pid, streams, wholes = self.together(work)
        lost = [a for a in streams if a.error]
        self.assertGreater(len(lost), 0)
        for answer, text in zip(streams, alone):
            if answer.error:
                self.assertEqual((answer.pid, answer.error['code'], answer.done), (pid, 'replica_lost', False))
                self.assertTrue(text.startswith(answer.text))
            else:
                self.assertEqual((answer.done, answer.text), (True, text))
        self.assertEqual([a.error for a in wholes], [None] * len(wholes))  # nothing of them was sent
        self.assertEqual([a.text for a in wholes], alone)
        self.wait_for(lambda: self.n_replicas()[0] == 2)
        again = self.together(references)
        self.assertEqual(again, alone)

    def test_5_scaling(self):
        self.deploy(min_replicas=1, max_replicas=2, target_ongoing=4)
        self.wait_for(lambda: self.n_replicas() == (1, 1))
        most = [1]

        async def work(http):
            end = time.monotonic() + 60

            async def client(number):
                answers = []
                while time.monotonic() < end and most[0] < 2:
                    answers.append(await self.ask(http, chat(f'the river {number}', max_tokens=300, logit_bias=NO_END)))
                return answers

            async def watch():
                while time.monotonic() < end and most[0] < 2:
                    most[0] = max(most[0], (await asyncio.to_thread(self.n_replicas))[0])
                    await asyncio.sleep(0.3)

            results = await asyncio.gather(watch(), *(client(number) for number in range(24)))
            return [answer for answers in results[1:] for answer in answers]

        answers = self.together(work)
        self.assertEqual(most[0], 2)
        self.assertEqual([a.error for a in answers if a.error], [])
        self.wait_for(lambda: self.n_replicas() == (1, 1))  # and down again, once nobody asks

    def test_6_redeploy(self):
        """A new version takes over under load: no request fails, those under way are finished by the old one."""
        self.deploy(min_replicas=1, max_replicas=1)

        async def work(http):
            over, replicas, answers = asyncio.Event(), set(), []

            async def client(number):
                while not over.is_set():
                    answer = await self.stream(http, chat(f'the river {number}', max_tokens=100, logit_bias=NO_END))
                    answers.append(answer)
                    replicas.add(answer.replica)

            clients = [asyncio.create_task(client(number)) for number in range(8)]
            await asyncio.sleep(1)
            await asyncio.to_thread(self.deploy, min_replicas=1, max_replicas=1, max_running=32)
            await asyncio.sleep(2)
            over.set()
            await asyncio.gather(*clients)
            return replicas, answers

        replicas, answers = self.together(work)
        self.assertGreaterEqual(len(replicas), 2)
        self.assertEqual([(a.status, a.error) for a in answers if a.error or not a.done], [])
        self.assertGreater(len(answers), 16)


if __name__ == '__main__':
    unittest.main(verbosity=2)
