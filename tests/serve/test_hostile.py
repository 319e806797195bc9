"""What strangers send: broken and enormous bodies, odd HTTP, numbers beyond all limits; and what is told of it."""

import base64
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from prometheus_client.parser import text_string_to_metric_families

from server import SMALL, Server, make_encoder

SECRET = 'the-secret-key-of-somebody'
CHAT = b'{"model":"small","messages":[{"role":"user","content":"x"}],"max_tokens":2'


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        pooled = make_encoder(pathlib.Path(cls.folder.name) / 'pooled', 'bert-sentence')
        cls.server = Server('--max-running', '8', '--max-body-bytes', '300000',
                            models=(f'small={SMALL}', f'pooled={pooled}'))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.folder.cleanup()

    def tearDown(self):
        """Whatever came: nothing is left, nothing broke, and the next request is answered."""
        for model in ('small', 'pooled'):
            self.assertTrue(self.server.wait_for(lambda: self.server.is_empty(model)), model)
        self.assertNotIn('Traceback', self.server.log()[-3000:])
        body = {'model': 'small', 'prompt': 'x', 'max_tokens': 1}
        self.assertEqual(self.server.post('completions', body).status_code, 200)

    def send(self, path, data, status, **headers):
        response = self.server.client.post('/v1/' + path, content=data, headers=headers)
        self.assertEqual(response.status_code, status, (data[:80], response.text[:300]))
        if status != 200:
            error = response.json()['error']
            self.assertEqual(sorted(error), ['code', 'message', 'param', 'type'])
            self.assertLess(len(error['message']), 2000)
        return response

    def raw(self, data, seconds=20):
        """All that comes for these bytes."""
        with socket.create_connection(self.server.url[7:].split(':'), timeout=seconds) as connection:
            connection.sendall(data)
            out = b''
            try:
                while part := connection.recv(1 << 16):
                    out += part
            except ConnectionResetError:
                pass  # it was hung up on with bytes under way
            return out

    def test_json(self):
        for tail in (b',"top_p":NaN}', b',"temperature":Infinity}', b',"temperature":-Infinity}', b',"temperature":1e400}',
                     b',"seed":18446744073709551616}', b',"seed":-9223372036854775809}', b',"seed":1.5}',
                     b',"seed":1e30}', b',"n":1000000000000}', b',"n":0}', b',"n":-1}', b',"n":true}', b',"n":"2"}', b',"n":[]}',
                     b',"max_completion_tokens":4}', b',"logit_bias":{"1":101}}', b',"logit_bias":{"1":NaN}}',
                     b',"logit_bias":{"-1":1}}', b',"logit_bias":{"99999999999":1}}', b',"logit_bias":[1]}',
                     b',"logit_bias":{' + b','.join(b'"%d":1' % i for i in range(1025)) + b'}}',
                     b',"stop":[' + b','.join([b'"a"'] * 17) + b']}', b',"stop":""}', b',"stop":[1]}',
                     b',"stop":{"a":1}}', b',"stop":"a\\u0000b"}', b',"stop":"\\ud800"}', b',"top_logprobs":21,"logprobs":true}',
                     b',"messages":null}', b',"messages":"x"}', b',"messages":[1]}', b',"stream":"perhaps"}',
                     b',"stream":true,"stream_options":{"include_usage":1e9}}', b',"response_format":{"type":"xml"}}',
                     b',"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"a":NaN,"type":5}}}}',
                     b',"chat_template_kwargs":{"a":NaN}}', b',"chat_template_kwargs":[]}', b'}}', b'} x', b',}',
                     b',"tools":[{"type":"function","function":{"name":"a b"}}]}', b',"\\ud800":1}',
                     b',"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":' + b'{"items":' * 300 + b'{}' +
                     b'}' * 300 + b'}}}',
                     b',"user":' + b'[' * 100000 + b'}'):
            self.send('chat/completions', CHAT + tail, 400)
        for data in (b'\xff\xfe{\x00}\x00', b'{"model":"small","prompt":"\xff"}', b'\x00', b'{"model":"small","prompt":"\xed\xa0\x80"}',
                     b'"x"', b'1e999', b'{"model":5,"prompt":"x"}',
                     b'{"model":"small","prompt":[[1],"x"]}', b'{"model":"small","prompt":[[]]}',
                     b'{"model":"small","prompt":[1.5]}', b'{"model":"small","prompt":[true]}', b'{"model":"small","prompt":[2147483648]}',
                     b'{"model":"small","prompt":[-1]}', b'{"model":"small","prompt":""' + b'}' * 2,
                     b'{"model":"small","prompt":["x",' * 3, b'{"model":"small","prompt":' + b'[' * 200 + b']' * 200 + b'}'):
            self.send('completions', data, 400)
        self.send('completions', b'{"model":"small\\u0000","prompt":"x"}', 404)
        self.send('completions', json.dumps({'model': 'm' * 200000, 'prompt': 'x'}).encode(), 404)
        for path in ('embeddings', 'rerank'):
            for data in (b'{"model":"pooled"}', b'{"model":"pooled","input":[[]],"query":1,"documents":[]}', b'[]', b'{"input":NaN}',
                         b'{"model":"pooled","input":"x","encoding_format":"hex"}', b'{"model":"pooled","input":[""]}',
                         b'{"model":"pooled","input":"x","dimensions":0}', b'{"model":"pooled","input":"x","dimensions":1e9}'):
                self.send(path, data, 400)

    def test_extremes_that_are_fine(self):
        for tail in (b',"seed":18446744073709551615}', b',"seed":-9223372036854775808}', b',"seed":0}', b',"temperature":100}',
                     b',"temperature":1e-300}', b',"top_p":1e-300}', b',"min_p":1}', b',"repetition_penalty":1e-30}',
                     b',"repetition_penalty":10,"presence_penalty":-2,"frequency_penalty":2}',
                     b',"logit_bias":{' + b','.join(b'"%d":-100' % i for i in range(300)) + b'}}',
                     b',"stop":["\\uffff","\\ud83d\\ude00","' + b'y' * 4000 + b'"]}', b',"n":2,"n":1}', b',"model":"small"}',
                     b',"user":"\\u0000","metadata":{"a":"b"}}', b',"tools":null}', b',"tools":[]}',
                     b' , "stream" : false }\n', b',"chat_template_kwargs":{"a":{"b":[1,null]}}}'):
            response = self.send('chat/completions', CHAT + tail, 200)
            self.assertEqual(len(response.json()['choices']), 1)
        text = self.send('completions', b'{"model":"small","prompt":"\\u0000\\uffff \\ud83d\\ude00","max_tokens":2}', 200).json()
        self.assertGreater(text['usage']['prompt_tokens'], 3)
        both = self.send('completions', b'{"model":"small","prompt":["x","y"],"max_tokens":1,"echo":false,"best_of":1}', 200).json()
        self.assertEqual(len(both['choices']), 2)

    def test_stop_strings(self):
        """At the first token, twice the same, one within another, longer than the answer, across characters."""
        body = {'model': 'small', 'prompt': 'the river', 'seed': 3, 'max_tokens': 24}
        text = self.server.post('completions', body).json()['choices'][0]['text']
        for stop in ([text[0]], [text[2:4], text[2:4]], [text[3:8], text[4:6]], [text + 'x'], [text[-1]], ['\n', text[5]],
                     [c for c in text[:16]]):
            answer = self.server.post('completions', {**body, 'stop': stop})
            self.assertEqual(answer.status_code, 200, stop)
            # The one that ends first; of those that end at one place the longest.
            ends = [(text.index(s) + len(s), -len(s)) for s in stop if s in text]
            expected = text[:min(ends)[0] + min(ends)[1]] if ends else text
            self.assertEqual(answer.json()['choices'][0]['text'], expected, stop)

    def test_usage_in_streams(self):
        for path, body in (('chat/completions', {'messages': [{'role': 'user', 'content': 'x'}]}), ('completions', {'prompt': ['x', 'y']})):
            body = {'model': 'small', 'max_tokens': 3, 'n': 2, 'stream': True, 'stream_options': {'include_usage': True}, **body}
            events = [line[6:] for line in self.server.post(path, body).text.split('\n') if line]
            self.assertEqual(events[-1], '[DONE]')
            chunks = [json.loads(event) for event in events[:-1]]
            self.assertTrue(all(chunk['usage'] is None for chunk in chunks[:-1]))
            self.assertEqual(chunks[-1]['choices'], [])
            usage = chunks[-1]['usage']
            self.assertEqual(usage['total_tokens'], usage['prompt_tokens'] + usage['completion_tokens'])
            self.assertEqual(len({chunk['id'] for chunk in chunks}), 1)

    def test_vectors(self):
        tokens = self.server.post('embeddings', {'model': 'pooled', 'input': [[2, 5, 3], [2, 6, 3]]}).json()
        one = self.server.post('embeddings', {'model': 'pooled', 'input': [2, 6, 3], 'encoding_format': 'base64',
                                              'dimensions': 32}).json()
        self.assertEqual(base64.b64decode(one['data'][0]['embedding']), struct.pack('<32f', *tokens['data'][1]['embedding']))
        self.send('embeddings', b'{"model":"pooled","input":["a","' + b'a ' * 2000 + b'"]}', 400)
        self.send('embeddings', b'{"model":"pooled","input":[999999]}', 400)

    def test_http(self):
        head = b'POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
        body = b'{"model":"small","prompt":"x","max_tokens":1}'
        for data, status in (
                (head + b'Content-Length: %d\r\n\r\n' % len(body) + body, 200),
                (head + b'Transfer-Encoding: chunked\r\n\r\n%x\r\n' % len(body) + body + b'\r\n0\r\n\r\n', 200),
                (head + b'Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n' % len(body) + body, 200),
                (head + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n', 400), (head + b'Content-Length: -5\r\n\r\n', 400),
                (head + b'Content-Length: 99999999999999999999\r\n\r\n', (400, 413)), (head + b'\r\n', 400),
                (b'GET / HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n', (200, 400, 505)), (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400),
                (b'GET /' + b'a' * 200000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', (400, 414, 431)),
                (head + b'X: ' + b'a' * 200000 + b'\r\n\r\n', (400, 431)),
                (b'OPTIONS /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 405),
                (b'HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 200),
                (b'HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 200),
                (b'DELETE /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 405),
                (b'GET /v1/models/%00%ff/../../x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 404)):
            with self.subTest(data[:100]):
                found = self.raw(data)
            code = int(found.split(b' ', 2)[1]) if found else 400  # some are simply hung up on
            self.assertIn(code, status if isinstance(status, tuple) else (status,), (data[:120], found[:200]))
            if data.startswith(b'HEAD'):
                self.assertEqual(found.split(b'\r\n\r\n', 1)[1], b'')

    def test_keep_alive(self):
        """Several requests on one connection, in one packet; errors between them leave it usable."""
        def post(body, last=False):
            return (b'POST /v1/completions HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n'
                    % (b'Connection: close\r\n' if last else b'', len(body)) + body)

        body = b'{"model":"small","prompt":"x","max_tokens":1,"seed":1}'
        found = self.raw(post(body) + post(b'{') + post(body) + post(body, True))
        self.assertEqual([int(code) for code in re.findall(rb'HTTP/1\.1 (\d+)', found)], [200, 400, 200, 200])

    def test_unread_body(self):
        """A body that is refused before all of it came, and one that never comes."""
        data = b'POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n' + b'x' * 1000
        with socket.create_connection(self.server.url[7:].split(':'), timeout=20) as connection:
            connection.sendall(data)
            self.assertIn(b' 413 ', connection.recv(1 << 16))

    def test_metrics(self):
        self.send('completions', b'{', 400)
        response = self.server.client.get('/metrics')
        families = {family.name: family for family in text_string_to_metric_families(response.text)}
        self.assertIn('version=', response.headers['content-type'])
        samples = [sample for family in families.values() for sample in family.samples]
        keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
        self.assertEqual(len(keys), len(set(keys)), 'a series is there twice')
        blocks = re.findall(r'^# TYPE (\S+)', response.text, re.M)
        self.assertEqual(len(blocks), len(set(blocks)), 'a family is there twice')
        for name in ('transformer_preempted', 'transformer_pages', 'transformer_overcommit', 'transformer_requests'):
            self.assertIn(name, families)
        routes = {sample.labels['route'] for sample in families['transformer_requests'].samples}
        self.assertFalse([route for route in routes if 'small' in route])  # no name of a client's choosing

    def test_unknown_paths_make_no_series(self):
        for i in range(20):
            self.server.client.get(f'/v1/models/wizard{i}')
            self.server.client.get(f'/wizard{i}')
        self.assertNotIn('wizard', self.server.client.get('/metrics').text)


class Told(unittest.TestCase):
    def test_log(self):
        """A line for each request, with an id that the answer has too; no key and no text of anybody's."""
        server = Server('--log-requests', environment={'TRANSFORMER_API_KEYS': SECRET})
        self.addCleanup(server.close)
        key = {'authorization': 'Bearer ' + SECRET}
        body = {'model': 'small', 'prompt': 'the private words', 'max_tokens': 3}
        answers = [server.post('completions', body, headers=key),
                   server.post('completions', {**body, 'stream': True}, headers=key),
                   server.post('completions', {**body, 'colour': 'private'}, headers=key),
                   server.post('completions', body, headers={'authorization': 'Bearer not-' + SECRET}),
                   server.client.get('/v1/models', headers={**key, 'x-request-id': 'mine-1'}),
                   server.client.get('/v1/models', headers={**key, 'x-request-id': 'a b"\\' + 'c' * 500})]
        self.assertTrue(server.wait_for(lambda: server.log().count('request ') == len(answers)))
        log = server.log()
        ids = [answer.headers['x-request-id'] for answer in answers]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(ids[4], 'mine-1')
        for answer, name in zip(answers, ids):
            line = next(line for line in log.splitlines() if name in line)
            self.assertIn(str(answer.status_code), line)
            self.assertLess(len(line), 300)
        for word in (SECRET, 'private'):
            self.assertNotIn(word, log)

    def test_help(self):
        help = subprocess.run([sys.executable, '-m', 'transformer_serve', '--help'], capture_output=True, text=True, check=True).stdout
        found = set(re.findall(r'^  (--[a-z-]+)', help, re.M))
        text = (pathlib.Path(__file__).resolve().parents[2] / 'examples/serve/transformer_serve/settings.py').read_text()
        options = {'--' + name for name in re.findall(r'^        \("([a-z-]+)", \d', text, re.M)}
        self.assertGreater(len(options), 12)
        self.assertLessEqual(options, found)
        for name in found:
            line = re.search(rf'^  {name}\b.*(\n {{4,}}.*)*', help, re.M).group(0)
            self.assertGreater(len(line.split()), 3, f'{name} is told nothing of')

    def test_slow_body(self):
        """A body that comes byte by byte is given up on."""
        server = Server('--send-timeout', '1')
        self.addCleanup(server.close)
        with socket.create_connection(server.url[7:].split(':'), timeout=20) as connection:
            connection.sendall(b'POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
            begun = time.monotonic()
            self.assertIn(b' 408 ', connection.recv(1 << 16))
            self.assertLess(time.monotonic() - begun, 10)

    def test_slow_reader(self):
        """A reader that takes nothing loses its stream, and its pages come back; others aren't kept waiting."""
        server = Server('--send-timeout', '2', '--kv-tokens', '16384')
        self.addCleanup(server.close)
        body = json.dumps({'model': 'small', 'prompt': 'x', 'max_tokens': 2000, 'n': 4, 'stream': True, 'logprobs': 20,
                           'logit_bias': {'0': -100, '2': -100}}).encode()
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(tuple([server.url[7:].split(':')[0], int(server.url[7:].split(':')[1])]))
        with made:
            made.sendall(b'POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
            self.assertTrue(server.wait_for(lambda: server.metric('sequences') >= 4))
            begun = time.monotonic()
            self.assertEqual(server.post('completions', {'model': 'small', 'prompt': 'y', 'max_tokens': 4}).status_code, 200)
            self.assertLess(time.monotonic() - begun, 5)
            self.assertTrue(server.wait_for(server.is_empty, 60))
        self.assertNotIn('Traceback', server.log())


if __name__ == '__main__':
    unittest.main()
