"""The server through OpenAI's own client and through plain HTTP: every route, limits, keys, draining."""

import base64
import json
import pathlib
import socket
import struct
import tempfile
import threading
import time
import unittest

import httpx
import numpy as np
import openai

from server import SMALL, Server, make_encoder
from transformer_serve import tool_calls

CHAT = [{'role': 'user', 'content': 'the river and the sea'}]
WEATHER = {'type': 'function', 'function': {
    'name': 'weather', 'parameters': {'type': 'object', 'properties': {'city': {'type': 'string'}}}}}


class Routes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        scored = make_encoder(pathlib.Path(cls.folder.name) / 'scored', 'bert-score')
        pooled = make_encoder(pathlib.Path(cls.folder.name) / 'pooled', 'bert-sentence')
        cls.server = Server('--max-running', '16', '--max-body-bytes', '100000',
                            models=(f'small={SMALL}', f'scored={scored}', f'pooled={pooled}'))
        cls.openai = openai.OpenAI(base_url=cls.server.url + '/v1', api_key='none', max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.openai.close()
        cls.server.close()
        cls.folder.cleanup()

    def tearDown(self):
        for model in ('small', 'scored', 'pooled'):
            self.assertTrue(self.server.wait_for(lambda: self.server.is_empty(model)), model)

    def chat(self, **named):
        values = {'model': 'small', 'messages': CHAT, 'seed': 5, 'max_tokens': 12, **named}
        return self.openai.chat.completions.create(**values)

    def refused(self, status, path, body, *words, **named):
        response = self.server.post(path, body, **named)
        self.assertEqual(response.status_code, status, response.text)
        error = response.json()['error']
        for word in words:
            self.assertIn(word, error['message'])
        return error

    def test_models(self):
        models = {model.id: model for model in self.openai.models.list()}
        self.assertEqual(set(models), {'small', 'scored', 'pooled'})
        self.assertEqual(models['small'].capabilities, ['completions', 'chat'])
        self.assertEqual(models['scored'].capabilities, ['rerank'])
        self.assertEqual(models['pooled'].capabilities, ['embeddings'])
        self.assertEqual(self.openai.models.retrieve('small').id, 'small')
        with self.assertRaises(openai.NotFoundError):
            self.openai.models.retrieve('large')

    def test_chat(self):
        answer = self.chat()
        self.assertEqual(answer.object, 'chat.completion')
        self.assertEqual(answer.choices[0].message.role, 'assistant')
        self.assertGreater(len(answer.choices[0].message.content), 0)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertLessEqual(answer.usage.completion_tokens, 12)
        self.assertEqual(answer.choices[0].message.content, self.chat().choices[0].message.content)
        self.assertNotEqual(answer.choices[0].message.content, self.chat(seed=6).choices[0].message.content)
        self.assertEqual(self.chat(temperature=0, seed=1).choices[0].message.content,
                         self.chat(temperature=0, seed=2).choices[0].message.content)
        parts = [{'type': 'text', 'text': 'the river'}, {'type': 'text', 'text': ' and the sea'}]
        self.assertEqual(answer.choices[0].message.content, self.chat(
            messages=[{'role': 'user', 'content': parts}]).choices[0].message.content)

    def test_chat_stream(self):
        whole = self.chat()
        chunks = list(self.chat(stream=True, stream_options={'include_usage': True}))
        self.assertEqual(chunks[0].choices[0].delta.role, 'assistant')
        text = ''.join(c.choices[0].delta.content or '' for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].usage, whole.usage)
        self.assertEqual(chunks[-2].choices[0].finish_reason, whole.choices[0].finish_reason)
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)

    def test_many_answers(self):
        one, three = self.chat(), self.chat(n=3)
        self.assertEqual([choice.index for choice in three.choices], [0, 1, 2])
        texts = [choice.message.content for choice in three.choices]
        self.assertEqual(texts[0], one.choices[0].message.content)
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(texts, [choice.message.content for choice in self.chat(n=3).choices])
        streamed = ['', '', '']
        for chunk in self.chat(n=3, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ''
        self.assertEqual(streamed, texts)
        greedy = self.chat(n=2, temperature=0)
        self.assertEqual(greedy.choices[0].message.content, greedy.choices[1].message.content)

    def test_completions(self):
        named = {'model': 'small', 'seed': 3, 'max_tokens': 10}
        answer = self.openai.completions.create(prompt='the river', **named)
        self.assertEqual(answer.object, 'text_completion')
        both = self.openai.completions.create(prompt=['the river', 'a stone'], n=2, **named)
        self.assertEqual([choice.index for choice in both.choices], [0, 1, 2, 3])
        self.assertEqual(both.choices[0].text, answer.choices[0].text)
        alone = self.openai.completions.create(prompt='a stone', n=2, **named)
        self.assertEqual([c.text for c in both.choices[2:]], [c.text for c in alone.choices])
        tokens = self.openai.completions.create(prompt=[5, 6, 7], **named)
        self.assertEqual(tokens.usage.prompt_tokens, 3)
        lists = self.openai.completions.create(prompt=[[5, 6, 7], [5, 6]], **named)
        self.assertEqual(lists.choices[0].text, tokens.choices[0].text)
        self.assertEqual(lists.usage.prompt_tokens, 5)
        streamed = ''.join(chunk.choices[0].text for chunk in self.openai.completions.create(
            prompt='the river', stream=True, **named))
        self.assertEqual(streamed, answer.choices[0].text)
        self.assertEqual(self.openai.completions.create(model='small', prompt='x').usage.completion_tokens <= 16, True)

    def test_logit_bias(self):
        def complete(**named):
            return self.openai.completions.create(model='small', prompt='the', max_tokens=4, temperature=0, **named)

        self.assertEqual(complete(logit_bias={'40': 100}).choices[0].text, complete(logit_bias={'40': 99}).choices[0].text)
        self.assertNotEqual(complete(logit_bias={'40': 100}).choices[0].text, complete().choices[0].text)
        ends = complete(logit_bias={'2': 100})
        self.assertEqual((ends.choices[0].text, ends.choices[0].finish_reason), ('', 'stop'))
        self.assertEqual(ends.usage.completion_tokens, 1)

    def test_sampling(self):
        """Each of these changes the answer, so each of them arrives."""
        plain = self.chat(max_tokens=40).choices[0].message.content
        for named in ({'temperature': 0.5}, {'top_p': 0.1}, {'presence_penalty': 2}, {'frequency_penalty': 2}):
            self.assertNotEqual(self.chat(max_tokens=40, **named).choices[0].message.content, plain, named)
        for extra in ({'top_k': 1}, {'min_p': 0.9}, {'repetition_penalty': 5}):
            self.assertNotEqual(self.chat(max_tokens=40, extra_body=extra).choices[0].message.content, plain, extra)
        self.assertEqual(self.chat(max_tokens=40, temperature=1, top_p=1).choices[0].message.content, plain)

    def test_tools_are_told(self):
        with_tools = self.chat(tools=[WEATHER])
        self.assertGreater(with_tools.usage.prompt_tokens, self.chat().usage.prompt_tokens)
        self.assertEqual(self.chat(tools=[WEATHER], tool_choice='none').usage, self.chat().usage)
        streamed = ''.join(chunk.choices[0].delta.content or '' for chunk in self.chat(tools=[WEATHER], stream=True))
        self.assertEqual(streamed, with_tools.choices[0].message.content)

    def test_stop(self):
        """Across tokens, streamed or not; the text is what comes before."""
        text = self.chat(max_tokens=40).choices[0].message.content
        for at, length in ((3, 1), (5, 4), (8, 7)):
            stop = text[at:at + length]
            expected = text[:text.index(stop)]
            answer = self.chat(max_tokens=40, stop=['nowhere in it', stop])
            self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason), (expected, 'stop'))
            self.assertEqual(''.join(chunk.choices[0].delta.content or '' for chunk in self.chat(
                max_tokens=40, stop=stop, stream=True)), expected)
        self.refused(400, 'completions', {'model': 'small', 'prompt': 'x', 'stop': ['']}, 'empty')

    def test_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3, temperature=0)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(len(tokens), answer.usage.completion_tokens - (answer.choices[0].finish_reason == 'stop'))
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob)  # greedy: the likeliest
            self.assertLessEqual(sum(np.exp(other.logprob) for other in token.top_logprobs), 1.0001)
        self.assertEqual(answer.choices[0].message.content, self.chat(temperature=0).choices[0].message.content)
        chunks = list(self.chat(logprobs=True, top_logprobs=3, temperature=0, stream=True))
        streamed = [token for chunk in chunks if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
        self.assertEqual(streamed, tokens)
        sampled = self.openai.completions.create(model='small', prompt='the', logprobs=2, seed=1, max_tokens=8)
        found = sampled.choices[0].logprobs
        self.assertEqual(len(found.tokens), len(found.token_logprobs))
        self.assertEqual({len(top) for top in found.top_logprobs}, {2})

    def test_response_format(self):
        schema = {'type': 'object', 'properties': {'city': {'type': 'string'}, 'n': {'type': 'integer'}},
                  'required': ['city', 'n'], 'additionalProperties': False}
        form = {'type': 'json_schema', 'json_schema': {'name': 'answer', 'schema': schema}}
        for seed in range(5):
            answer = self.chat(seed=seed, max_tokens=60, response_format=form, n=2)
            for choice in answer.choices:
                found = json.loads(choice.message.content)
                self.assertEqual(sorted(found), ['city', 'n'])
                self.assertIsInstance(found['n'], int)
                self.assertEqual(choice.finish_reason, 'stop')
            self.assertIsInstance(json.loads(self.chat(seed=seed, max_tokens=40, response_format={
                'type': 'json_object'}).choices[0].message.content), dict)
        wrong = {'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': {'type': 'wizard'}}}
        self.refused(400, 'chat/completions', {'model': 'small', 'messages': CHAT, 'response_format': wrong})

    def test_embeddings(self):
        texts = ['river', 'stone', 'the river and the stone']
        found = self.openai.embeddings.create(model='pooled', input=texts, encoding_format='float')
        vectors = [np.array(entry.embedding, np.float32) for entry in found.data]
        self.assertEqual({vector.size for vector in vectors}, {32})
        for text, vector in zip(texts, vectors):
            alone = self.openai.embeddings.create(model='pooled', input=text, encoding_format='float')
            self.assertEqual(np.array(alone.data[0].embedding, np.float32).tobytes(), vector.tobytes())
        coded = self.server.post('embeddings', {'model': 'pooled', 'input': texts, 'encoding_format': 'base64'}).json()
        self.assertEqual([base64.b64decode(entry['embedding']) for entry in coded['data']],
                         [struct.pack('<32f', *vector) for vector in vectors])
        default = self.openai.embeddings.create(model='pooled', input=texts)  # the client asks for base64 itself
        self.assertEqual(np.array(default.data[1].embedding, np.float32).tobytes(), vectors[1].tobytes())
        many = self.openai.embeddings.create(model='pooled', input=['river stone'] * 100)
        self.assertEqual(len(many.data), 100)
        self.assertEqual(len({tuple(entry.embedding) for entry in many.data}), 1)
        self.refused(400, 'embeddings', {'model': 'small', 'input': 'x'}, 'small', '--pooling')
        self.refused(400, 'embeddings', {'model': 'pooled', 'input': ''}, 'empty')
        self.refused(400, 'embeddings', {'model': 'pooled', 'input': 'a ' * 200}, 'tokens')
        self.refused(400, 'embeddings', {'model': 'pooled', 'input': 'a', 'dimensions': 8}, 'unsupported', 'dimensions')

    def test_rerank(self):
        documents = ['a river runs', 'stones', 'the sea and the river', 'x']
        body = {'model': 'scored', 'query': 'river', 'documents': documents}
        found = self.server.post('rerank', body).json()['results']
        scores = {result['index']: result['relevance_score'] for result in found}
        self.assertEqual(sorted(scores), [0, 1, 2, 3])
        self.assertEqual([r['relevance_score'] for r in found], sorted(scores.values(), reverse=True))
        for index, document in enumerate(documents):
            alone = self.server.post('rerank', {**body, 'documents': [{'text': document}]}).json()['results']
            self.assertEqual(alone[0]['relevance_score'], scores[index])
        two = self.server.post('rerank', {**body, 'top_n': 2, 'return_documents': True}).json()['results']
        self.assertEqual(two, [{**result, 'document': {'text': documents[result['index']]}} for result in found[:2]])
        self.refused(400, 'rerank', {**body, 'model': 'pooled'}, 'pooled')

    def test_refused(self):
        chat = {'model': 'small', 'messages': CHAT}
        for body, words in (
                ({**chat, 'colour': 1}, ['unrecognized', 'colour']), ({**chat, 'messages': []}, ['messages']),
                ({**chat, 'temperature': 'hot'}, ['temperature']), ({**chat, 'temperature': -1}, ['temperature']),
                ({**chat, 'max_tokens': 0}, ['max_tokens']), ({**chat, 'n': 17}, ['n is over']),
                ({**chat, 'max_tokens': 100000}, ['maximum context length']),
                ({**chat, 'logit_bias': {'9999': 1}}, ['9999']), ({**chat, 'logit_bias': {'a': 1}}, ['token id']),
                ({**chat, 'stream_options': {}}, ['stream_options']), ({**chat, 'top_logprobs': 2}, ['logprobs']),
                ({'model': 'small', 'messages': [{'role': 'wizard', 'content': ''}]}, ['role']),
                ({'model': 'small', 'messages': [{'role': 'user', 'content': [{'type': 'image_url'}]}]},
                 ['image_url', 'unsupported'])):
            self.refused(400, 'chat/completions', body, *words)
        completion = {'model': 'small', 'prompt': 'x'}
        for name, value in (('suffix', 'x'), ('echo', True), ('best_of', 3)):
            self.refused(400, 'completions', {**completion, name: value}, 'unsupported', name)
        self.refused(400, 'completions', {'model': 'small', 'prompt': [1, 99999]}, '99999')
        self.refused(400, 'completions', {'model': 'small', 'prompt': []}, 'prompt')
        self.refused(404, 'completions', {'model': 'large', 'prompt': 'x'}, 'large')
        self.refused(400, 'completions', {'model': 'pooled', 'prompt': 'x'}, 'generates no text')
        for data in (b'', b'{', b'[]', b'null', b'\xff\xfe', b'{"model":"small","prompt":"\\ud800"}', b'[' * 50000,
                     b'{"a":' * 10000, b'{"model":"small","prompt":"x","temperature":1e999}',
                     b'{"model":"small","prompt":"x","temperature":NaN}'):
            response = self.server.client.post('/v1/completions', content=data)
            self.assertEqual(response.status_code, 400, data[:30])
            self.assertEqual(response.json()['error']['type'], 'invalid_request_error')
        self.assertEqual(self.server.client.post('/v1/completions', content=b'x' * 100001).status_code, 413)
        parts = (b'x' * 1000 for _ in range(101))  # without a length
        self.assertEqual(self.server.client.post('/v1/completions', content=parts).status_code, 413)
        self.assertEqual(self.server.client.get('/v1/completions').status_code, 405)
        self.assertEqual(self.server.client.get('/v1/nothing').status_code, 404)
        self.assertEqual(self.server.client.get('/../settings.py').status_code, 404)

    def test_disconnect(self):
        """A client that goes away gives its pages back within a step, streaming or not."""
        for stream in (True, False):
            steps_after = []
            for _ in range(4):
                body = json.dumps({'model': 'small', 'messages': CHAT, 'n': 4, 'stream': stream, 'max_tokens': 1000,
                                   'logit_bias': {'2': -100, '0': -100}}).encode()
                connection = socket.create_connection(self.server.url[7:].split(':'))
                connection.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n'
                                   % len(body) + body)
                self.assertTrue(self.server.wait_for(lambda: self.server.metric('sequences', 'small') >= 4))
                connection.close()
                self.assertTrue(self.server.wait_for(lambda: self.server.is_empty('small')))
                steps_after.append(self.server.metric('steps_total', 'small'))
            time.sleep(0.1)
            self.assertEqual(self.server.metric('steps_total', 'small'), steps_after[-1])  # nothing is computed for nobody

    def test_together(self):
        """The same bits in a crowd as alone."""
        alone = [self.chat(seed=seed, max_tokens=30, messages=[
            {'role': 'user', 'content': f'the river {seed}' * (1 + seed % 5)}]).choices[0].message.content
            for seed in range(24)]
        together = [None] * 24

        def ask(seed):
            client = openai.OpenAI(base_url=self.server.url + '/v1', api_key='none', max_retries=0)
            together[seed] = client.chat.completions.create(
                model='small', seed=seed, max_tokens=30, messages=[
                    {'role': 'user', 'content': f'the river {seed}' * (1 + seed % 5)}]).choices[0].message.content
            client.close()

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)

    def test_metrics_and_health(self):
        self.chat()
        text = self.server.client.get('/metrics').text
        for name in ('transformer_steps_total', 'transformer_pages_free', 'transformer_first_token_seconds_count',
                     'transformer_requests_total'):
            self.assertIn(name, text)
        self.assertEqual(self.server.client.get('/healthz').json(), {'status': 'ok'})


class Limits(unittest.TestCase):
    def start(self, *arguments, **named):
        server = Server(*arguments, **named)
        self.addCleanup(server.close)
        return server

    def long(self, server, **named):
        """A request that runs until its client goes away."""
        body = {'model': 'small', 'prompt': 'the', 'max_tokens': 2000, 'stream': True,
                'logit_bias': {'0': -100, '2': -100}, **named}
        return server.client.stream('POST', '/v1/completions', json=body)

    def test_keys(self):
        server = self.start(environment={'TRANSFORMER_API_KEYS': 'one,two'})
        for header, status in ((None, 401), ('Bearer three', 401), ('Bearer one', 200), ('bearer two', 200),
                               ('Basic one', 401), ('Bearer', 401), ('Bearer one,two', 401), ('one', 401)):
            headers = {} if header is None else {'authorization': header}
            for path in ('/v1/models', '/metrics'):
                self.assertEqual(server.client.get(path, headers=headers).status_code, status, (path, header))
        self.assertEqual(server.client.get('/healthz').status_code, 200)
        self.assertEqual(server.client.get('/').status_code, 200)
        body = {'model': 'small', 'prompt': 'x'}
        self.assertEqual(server.post('completions', body).status_code, 401)
        with self.assertRaises(openai.AuthenticationError):
            openai.OpenAI(base_url=server.url + '/v1', api_key='three').models.list()
        self.assertEqual(len(openai.OpenAI(base_url=server.url + '/v1', api_key='two').models.list().data), 1)

    def test_full(self):
        server = self.start('--max-running', '2', '--max-waiting', '1')
        with self.long(server) as first, self.long(server) as second:
            self.assertEqual((first.status_code, second.status_code), (200, 200))
            waiting = []
            thread = threading.Thread(target=lambda: waiting.append(
                httpx.post(server.url + '/v1/completions', json={'model': 'small', 'prompt': 'x', 'seed': 1},
                           timeout=60).status_code))
            thread.start()
            self.assertTrue(server.wait_for(lambda: server.metric('waiting') == 1))
            refused = server.post('completions', {'model': 'small', 'prompt': 'x'})
            self.assertEqual(refused.status_code, 429)
            self.assertGreaterEqual(int(refused.headers['retry-after']), 1)
            self.assertEqual(refused.json()['error']['type'], 'rate_limit_error')
            self.assertEqual(server.metric('waiting'), 1)
        thread.join()
        self.assertEqual(waiting, [200])
        self.assertTrue(server.wait_for(server.is_empty))
        self.assertEqual(server.post('completions', {'model': 'small', 'prompt': 'x'}).status_code, 200)

    def test_pages(self):
        """What the cache has no room for now waits, what it never has is refused."""
        server = self.start('--kv-tokens', '512', '--max-sequence-tokens', '512')
        body = {'model': 'small', 'prompt': 'the', 'max_tokens': 400, 'logit_bias': {'0': -100, '2': -100}, 'seed': 1}
        texts, threads = [], []
        for _ in range(3):
            threads.append(threading.Thread(target=lambda: texts.append(
                httpx.post(server.url + '/v1/completions', json=body, timeout=60).json()['choices'][0]['text'])))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(texts), len(set(texts))), (3, 1))
        refused = server.post('completions', {**body, 'n': 2})
        self.assertEqual(refused.status_code, 400, refused.text)
        self.assertIn('max_tokens', refused.json()['error']['message'])
        self.assertTrue(server.wait_for(server.is_empty))

    def test_token_limits(self):
        server = self.start('--max-tokens', '20', '--default-max-tokens', '6', '--max-sequence-tokens', '64')
        self.assertEqual(server.post('completions', {'model': 'small', 'prompt': 'x', 'max_tokens': 21}).status_code, 400)
        self.assertEqual(server.post('completions', {'model': 'small', 'prompt': 'x ' * 80}).status_code, 400)
        answer = server.post('chat/completions', {'model': 'small', 'messages': [{'role': 'user', 'content': 'x'}],
                                                  'logit_bias': {'0': -100, '2': -100}}).json()
        self.assertEqual((answer['usage']['completion_tokens'], answer['choices'][0]['finish_reason']), (6, 'length'))

    def test_drain(self):
        server = self.start()
        with self.long(server) as running:
            lines = running.iter_lines()
            next(lines)
            server.terminate()
            self.assertTrue(server.wait_for(lambda: server.client.get('/healthz').status_code == 503))
            refused = server.post('completions', {'model': 'small', 'prompt': 'x'})
            self.assertEqual(refused.status_code, 503)
            self.assertIn('retry-after', refused.headers)
            rest = [line for line in lines if line]
            self.assertEqual(rest[-1], 'data: [DONE]')
            self.assertEqual(json.loads(rest[-2][6:])['choices'][0]['finish_reason'], 'length')
        self.assertEqual(server.process.wait(20), 0, server.log())

    def test_wrong_command_lines(self):
        for arguments, words in (((), ''), (('--pooling', 'sum'), 'pooling'), (('--port', '-1'), 'port'),
                                 (('--api-key-file', '/nowhere'), '/nowhere')):
            models = ('/no/such.gguf',) if not arguments else (f'small={SMALL}',)
            with self.assertRaises(RuntimeError) as failed:
                Server(*arguments, models=models)
            self.assertIn(words, str(failed.exception))
            self.assertNotIn('Traceback', str(failed.exception))


class ToolCalls(unittest.TestCase):
    def test_forms(self):
        arguments = {'city': 'Zürich', 'days': 3}
        text, named = json.dumps(arguments), {'name': 'weather', 'arguments': arguments}
        for raw in (
                f'<tool_call>\n{json.dumps(named)}\n</tool_call>', f'<tool_call>[{json.dumps(named)}]</tool_call>',
                f'<|tool_call|>[{json.dumps(named)}]<|/tool_call|>', f'[TOOL_CALLS][{json.dumps(named)}]</s>',
                f'[TOOL_CALLS]weather[ARGS]{text}', f'[TOOL_CALLS]weather[CALL_ID]123456789[ARGS]{text}',
                json.dumps({'name': 'weather', 'parameters': arguments}),
                '<|python_tag|>' + json.dumps({'type': 'function', 'name': 'weather', 'parameters': arguments}),
                f'<function=weather>{text}</function>',
                '<tool_call>\n<function=weather>\n<parameter=city>\nZürich\n</parameter>\n<parameter=days>\n3\n'
                '</parameter>\n</function>\n</tool_call>',
                f'<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{text}',
                json.dumps({'name': 'weather', 'arguments': text})):
            found = tool_calls.parse(raw, ['weather'])
            self.assertIsNotNone(found, raw)
            self.assertEqual([(call.name, json.loads(call.arguments)) for call in found[1]], [('weather', arguments)], raw)
            self.assertEqual(found[0], '', raw)
        two = '<tool_call>{"name":"a","arguments":{}}</tool_call>\n<tool_call>{"name":"b","arguments":{"x":[1]}}</tool_call>'
        before, calls = tool_calls.parse('I look.\n' + two, ['a', 'b'])
        self.assertEqual((before, [call.name for call in calls]), ('I look.\n', ['a', 'b']))

    def test_no_calls(self):
        for raw in ('', 'hello', '{"name":"other","arguments":{}}', '<tool_call>{"name":"weather"', '{"a":1}',
                    '<tool_call>weather</tool_call>', '{"name":"weather","arguments":[1]}', '[1,2]', '[' * 100000,
                    '[TOOL_CALLS]weather[ARGS]nothing', '<function=weather>words</function>', '[TOOL_CALLS]',
                    '<tool_call>{"name":"weather","arguments":{}}</tool_call><tool_call>broken</tool_call>',
                    'text {"name":"weather","arguments":{}}'):
            self.assertIsNone(tool_calls.parse(raw, ['weather']), raw[:80])

    def test_what_is_certain(self):
        for raw, certain in (('hello', 5), ('hello <too', 6), ('hello <tool_call>{', 6), ('{"a"', 0), ('  [', 0),
                             ('a < b', 5), ('a <', 2), ('x[TOOL', 1), ('', 0)):
            self.assertEqual(tool_calls.may_begin(raw), certain, raw)


if __name__ == '__main__':
    unittest.main()
