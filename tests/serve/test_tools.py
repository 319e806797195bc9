"""Calls of functions: forced, by strict schemas, beside response_format; through OpenAI's own client."""

import asyncio
import dataclasses
import json
import unittest

import openai

from server import SMALL, TEMPLATE, Server, real_model
from transformer_serve import tool_forms
from transformer_serve.engine import Engine
from transformer_serve.scheduler import Scheduler
from transformer_serve.settings import ModelSettings
from transformer_serve.work import Failure, Generation, Inbox, Job, Piece, SamplerValues

HEAD = ("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.tool_calls %}CALLS{% endif %}\n{% endfor %}"
        "{% if tools %}{{ tools | tojson }}{% endif %}{% if add_generation_prompt %}<assistant>{% endif %}")
EACH = "{% for c in m.tool_calls %}CALL{% endfor %}"
NAMED = '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'


def template(calls):
    return HEAD.replace('CALLS', calls)


TEMPLATES = {
    'hermes': template(EACH.replace('CALL', '{% if not loop.first %}\n{% endif %}<tool_call>\n' + NAMED + '\n</tool_call>')),
    'list': template('<tool_call>[' + EACH.replace('CALL', NAMED + '{% if not loop.last %}, {% endif %}') + ']</tool_call>'),
    'llama': template('{%- set c = m.tool_calls[0] %}{"name": "{{ c.function.name }}", "parameters": '
                      '{{ c.function.arguments | tojson }}}'),
    'function': template(EACH.replace('CALL', '<function={{ c.function.name }}>{{ c.function.arguments | tojson }}</function>')),
    'typed': template(EACH.replace('CALL', '{"type": "function", "function": {"name": "{{ c.function.name }}", '
                                           '"arguments": {{ c.function.arguments | tojson }}}}')),
    'none': TEMPLATE,
}
PLACE = {'type': 'object', 'properties': {'city': {'type': 'string', 'maxLength': 8}, 'days': {'$ref': '#/$defs/days'}},
         'required': ['city', 'days'], 'additionalProperties': False,
         '$defs': {'days': {'type': 'integer', 'minimum': 1, 'maximum': 9}}}
ZONE = {'type': 'object', 'properties': {'zone': {'enum': ['UTC', 'CET']}}, 'required': ['zone'], 'additionalProperties': False}
LIST = {'type': 'object', 'properties': {'list': {'type': 'array', 'uniqueItems': True}}, 'required': ['list'],
        'additionalProperties': False}
ASK = [{'role': 'user', 'content': 'the river and the sea'}]
NAME = {'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': {
    'type': 'object', 'properties': {'text': {'type': 'string', 'maxLength': 6}}, 'required': ['text'],
    'additionalProperties': False}}}


def tool(name, parameters, **more):
    return {'type': 'function', 'function': {'name': name, 'parameters': parameters, **more}}


TOOLS = [tool('weather', PLACE), tool('time', ZONE)]


class ToolTests(unittest.TestCase):
    model = 'small'

    def client(self, text, models=(f'small={SMALL}',)):
        server = Server('--max-running', '8', models=models, template=text)
        self.addCleanup(server.close)
        client = openai.OpenAI(base_url=server.url + '/v1', api_key='none', max_retries=0)
        self.addCleanup(client.close)
        self.server, self.openai = server, client

    def chat(self, **named):
        values = {'model': self.model, 'messages': ASK, 'max_tokens': 120, 'seed': 1, 'tools': TOOLS, **named}
        return self.openai.chat.completions.create(**values)

    def both(self, **named):
        """The answers as text and calls, whole and streamed, which are the same."""
        whole = self.chat(**named)
        out = [(c.message.content, [(t.function.name, t.function.arguments) for t in c.message.tool_calls or []],
                c.finish_reason) for c in whole.choices]
        streamed = [['', {}, None] for _ in out]
        for chunk in self.chat(stream=True, **named):
            for choice in chunk.choices:
                into = streamed[choice.index]
                into[0] += choice.delta.content or ''
                into[2] = choice.finish_reason or into[2]
                for call in choice.delta.tool_calls or []:
                    if call.index not in into[1]:
                        self.assertEqual((call.type, call.id[:5], len(into[1])), ('function', 'call_', call.index))
                        into[1][call.index] = [call.function.name, '']
                    else:
                        self.assertIsNone(call.id)
                    into[1][call.index][1] += call.function.arguments
        for (content, calls, reason), (text, pieces, end) in zip(out, streamed):
            self.assertEqual((content or '', calls, reason), (text, [tuple(piece) for piece in pieces.values()], end))
        for choice in whole.choices:
            for call in choice.message.tool_calls or []:
                self.check(call.function.name, json.loads(call.function.arguments))
        return out

    def check(self, name, arguments):
        if name == 'weather':
            self.assertEqual(sorted(arguments), ['city', 'days'])
            self.assertLessEqual(len(arguments['city']), 8)
            self.assertIn(arguments['days'], range(1, 10))
        elif name == 'time':
            self.assertIn(arguments['zone'], ('UTC', 'CET'))
            self.assertEqual(len(arguments), 1)

    def refused(self, *words, **named):
        with self.assertRaises(openai.BadRequestError) as failed:
            self.chat(**named)
        for word in words:
            self.assertIn(word, str(failed.exception))


class Forms(ToolTests):
    def test_every_template(self):
        for name, text in TEMPLATES.items():
            with self.subTest(name):
                self.client(text)
                used = set()
                for seed in range(6):
                    for content, calls, reason in self.both(seed=seed, tool_choice='required', n=2, temperature=3):
                        self.assertIsNone(content)
                        self.assertEqual(reason, 'tool_calls')
                        self.assertGreater(len(calls), 0)
                        used |= {called for called, _ in calls}
                        if name in ('none', 'llama'):
                            self.assertEqual(len(calls), 1)
                    (_, calls, reason), = self.both(seed=seed, tool_choice='required', parallel_tool_calls=False)
                    self.assertEqual((len(calls), reason), (1, 'tool_calls'))
                    (_, calls, reason), = self.both(
                        seed=seed, tool_choice={'type': 'function', 'function': {'name': 'time'}})
                    self.assertEqual({called for called, _ in calls}, {'time'})
                self.assertEqual(used, {'weather', 'time'})
                self.server.close()

    def test_found(self):
        """Forms are read off the template, marks with control tokens included."""
        def is_text(text):
            return '[' not in text.replace('["', '').replace('[{', '') and '<|' not in text

        def before_control(text):
            return text.split('</s>')[0].split('<|')[0]

        def render(written):
            def one(messages, tools, begins):
                calls = messages[-1].get('tool_calls') if len(messages) > 1 else None
                text = str(tools) + '[INST]probe[/INST]'
                if calls:
                    return text + written(calls) + '</s>'
                return text
            return one

        def named(call, end=''):
            function = call['function']
            return '{"name": "%s", "arguments": %s%s}' % (function['name'], json.dumps(function['arguments']), end)

        mistral = tool_forms.find(render(lambda calls: '[TOOL_CALLS][' + ', '.join(
            named(call, ', "id": "%s"' % call['id']) for call in calls) + ']'), is_text, before_control)
        self.assertEqual((mistral.before, mistral.between, mistral.after, mistral.closing, mistral.before_is_text),
                         ('[TOOL_CALLS][', ', ', ']', '}', False))
        later = tool_forms.find(render(lambda calls: ''.join(
            f"[TOOL_CALLS]{call['function']['name']}[ARGS]{json.dumps(call['function']['arguments'])}" for call in calls)),
            is_text, before_control)
        self.assertEqual((later.before, later.middle, later.between, later.middle_is_text),
                         ('[TOOL_CALLS]', '[ARGS]', None, False))
        schemas = {'time': '{}', 'weather': '{}'}
        self.assertEqual(tool_forms.forced(later, schemas, True).prompt, '[TOOL_CALLS][')
        one = tool_forms.forced(later, {'time': '{}'}, True)
        self.assertEqual((one.prompt, one.fixed), ('[TOOL_CALLS]time[ARGS]', 'time'))
        harmony = tool_forms.find(render(
            lambda calls: f" to=functions.{calls[0]['function']['name']}<|channel|>commentary json<|message|>"
            + json.dumps(calls[0]['function']['arguments']) + '<|call|>'), is_text, before_control)
        self.assertEqual(tool_forms.forced(harmony, {'time': '{}'}, True).prompt,
                         ' to=functions.time<|channel|>commentary json<|message|>')
        self.assertEqual(tool_forms.forced(harmony, schemas, True).form, tool_forms.PLAIN)
        self.assertIsNone(tool_forms.trigger(harmony, schemas, True))
        self.assertIsNone(tool_forms.find(render(lambda calls: ''), is_text, before_control))
        self.assertIsNone(tool_forms.find(lambda *_: None, is_text, before_control))

    def test_reader(self):
        """Byte by byte as in one piece."""
        form = tool_forms.CallForm('<c>', '{"name": "', '", "arguments": ', '}', '</c><c>', '</c>')
        calls = tool_forms.Calls(form, {'a': '{}', 'a"b': '{}'}, True)
        text = '{"name": "a", "arguments": {"x":"}\\\\\\"{","y":[{}]}}</c><c>{"name": "a", "arguments": {}}</c>'
        for step in (1, 2, 3, 7, len(text)):
            reader = tool_forms.CallReader(calls)
            for at in range(0, len(text), step):
                reader.feed(text[at:at + step])
            self.assertEqual(reader.calls, [['a', '{"x":"}\\\\\\"{","y":[{}]}'], ['a', '{}']])
            self.assertTrue(reader.is_whole)


class Choices(ToolTests):
    def test_either(self):
        """tools beside response_format: a call or a text of the schema, whichever the model begins."""
        for name in ('hermes', 'list', 'llama', 'none'):
            self.client(TEMPLATES[name])
            kinds = set()
            for seed in range(24):
                for content, calls, reason in self.both(seed=seed, response_format=NAME, n=2, temperature=1.5):
                    kinds.add(bool(calls))
                    if calls:
                        self.assertEqual((content, reason), (None, 'tool_calls'))
                    else:
                        self.assertEqual((list(json.loads(content)), reason), (['text'], 'stop'))
            self.assertEqual(kinds, {False, True}, name)
            (content, calls, reason), = self.both(response_format={'type': 'json_object'}, seed=2)
            self.assertIsInstance(json.loads(content) if content is not None else calls, (dict, list))
            (content, calls, _), = self.both(response_format=NAME, tool_choice='none')
            self.assertEqual((list(json.loads(content)), calls), (['text'], []))
            (_, calls, reason), = self.both(response_format=NAME, tool_choice='required')
            self.assertEqual(reason, 'tool_calls')
            self.server.close()

    def test_allowed(self):
        self.client(TEMPLATES['hermes'])
        only = {'type': 'allowed_tools', 'allowed_tools': {'mode': 'required', 'tools': [
            {'type': 'function', 'function': {'name': 'time'}}]}}
        for seed in range(4):
            (_, calls, _), = self.both(seed=seed, tool_choice=only)
            self.assertEqual({name for name, _ in calls}, {'time'})
        (content, calls, _), = self.both(tool_choice='none')
        self.assertEqual(calls, [])
        self.assertGreater(len(content), 0)

    def test_strict(self):
        self.client(TEMPLATES['hermes'])
        self.refused('uniqueItems', tools=[tool('list', LIST, strict=True)])
        self.refused('uniqueItems', tools=[tool('list', LIST, strict=True)], tool_choice='required')
        strict = [tool('weather', PLACE, strict=True)]
        self.assertEqual(self.both(tools=strict), self.both(tools=[tool('weather', PLACE)]))  # it calls nothing

    def test_loose(self):
        """A schema that can't be kept to is no failure where nobody asked for it to be kept."""
        self.client(TEMPLATES['hermes'])
        (_, calls, _), = self.both(tools=[tool('list', LIST)], tool_choice='required', max_tokens=60)
        self.assertIsInstance(json.loads(calls[0][1]), dict)
        bare = [tool('bare', None)]
        del bare[0]['function']['parameters']
        (_, calls, _), = self.both(tools=bare, tool_choice='required')
        self.assertEqual({arguments for _, arguments in calls}, {'{}'})

    def test_refused(self):
        self.client(TEMPLATES['hermes'])
        self.refused('nowhere', tool_choice={'type': 'function', 'function': {'name': 'nowhere'}})
        self.refused('one name', tools=[TOOLS[0], TOOLS[0]])
        self.refused('type object', tools=[tool('x', {'type': 'array'})], tool_choice='required')
        self.refused('tool_choice', tool_choice='perhaps')
        self.refused('tokens', tool_choice='required', max_tokens=12)
        self.refused('tools', tools=[], tool_choice='required')
        self.refused('mode', tool_choice={'type': 'allowed_tools', 'allowed_tools': {'mode': 'never', 'tools': []}})

    def test_stop_does_not_cut_calls(self):
        self.client(TEMPLATES['hermes'])
        for stop in ('"', '{', 'zone'):
            (_, calls, reason), = self.both(tool_choice={'type': 'function', 'function': {'name': 'time'}}, stop=stop)
            self.assertEqual(reason, 'tool_calls')
            self.assertGreater(len(calls), 0)


class Triggers(unittest.TestCase):
    """A grammar that begins in the middle of an answer, wherever tokens end."""

    def run_one(self, scheduler, work):
        async def run():
            job = Job(work, Inbox(asyncio.get_running_loop()))
            scheduler.submit([job])
            text, chosen = '', []
            while True:
                for event in await asyncio.wait_for(job.inbox.take(), 60):
                    self.assertNotIsInstance(event, Failure)
                    if isinstance(event, Piece):
                        text += event.raw
                        chosen += event.chosen
                    else:
                        return text, event.reason, chosen
        return asyncio.run(run())

    def check_model(self, path, prompt, lookup_tokens, **sampling):
        engine = Engine(ModelSettings('x', str(path), lookup_tokens=lookup_tokens, max_running=4))
        scheduler = Scheduler(engine, 4)
        self.addCleanup(scheduler.close)
        tokens = engine.tokenize(prompt)
        ends = tuple((token, -100.0) for token in engine.end_tokens)
        values = SamplerValues(seed=4, logit_bias=ends, **sampling)
        work = Generation(tokens, 30, values, with_special=True)
        free, _, _ = self.run_one(scheduler, work)
        n_again = 0
        for at in range(3, min(len(free) - 6, 40), 3):
            for length in (2, 5):
                mark = free[at:at + length]
                if '\ufffd' in mark or not mark.strip() or mark != mark.strip():
                    continue
                form = tool_forms.CallForm(mark, '{"name": "', '", "arguments": ', '}', None, '')
                trigger = tool_forms.trigger(form, {'time': json.dumps(ZONE)}, False)
                text, reason, chosen = self.run_one(scheduler, dataclasses.replace(
                    work, trigger=trigger, max_tokens=120, n_top=0 if at % 4 else None))
                begin = free.index(mark)
                call = text[begin + len(mark):]
                n_again += not free[begin + len(mark):].startswith(call[:1])
                self.assertEqual((text[:begin], reason), (free[:begin], 'stop'), mark)
                self.assertIn(call, ('{"name": "time", "arguments": {"zone":"%s"}}' % zone for zone in ('UTC', 'CET')))
                if chosen:
                    self.assertEqual(b''.join(one.text for one in chosen).decode('utf-8', 'replace'), text)
        self.assertGreater(n_again, 0)
        self.assertEqual((scheduler.snapshot.sequences, scheduler.snapshot.running), (0, 0))

    def test_small(self):
        for lookup in (0, 3):
            self.check_model(SMALL, 'the river and', lookup, temperature=1.0)

    def test_real(self):
        path = real_model('smollm2.gguf')
        if path is None:
            self.skipTest('smollm2.gguf is not there')
        self.check_model(path, 'one two three one two three one', 4)

    def test_no_room(self):
        """A call that doesn't fit is not begun, and nothing hangs."""
        engine = Engine(ModelSettings('x', str(SMALL), max_running=4))
        scheduler = Scheduler(engine, 4)
        self.addCleanup(scheduler.close)
        work = Generation(engine.tokenize('the river and'), 12, SamplerValues(seed=4), with_special=True)
        free, reason, _ = self.run_one(scheduler, work)
        for length in (1, 2, 3):
            form = tool_forms.CallForm(free[2:2 + length], '{"name": "', '", "arguments": ', '}', None, '')
            trigger = tool_forms.trigger(form, {'time': json.dumps(ZONE)}, False)
            self.assertEqual(self.run_one(scheduler, dataclasses.replace(work, trigger=trigger))[:2], (free, reason))


class Real(ToolTests):
    """Models that answer sensibly, where they are there."""

    def run_model(self, file, text, city=None):
        path = real_model(file)
        if path is None:
            self.skipTest(f'{file} is not there: tests/get_models.py gets it')
        self.model = 'real'
        self.client(text, (f'real={path}',))
        question = [{'role': 'user', 'content': 'What is the weather in Paris for three days?'}]
        named = {'type': 'function', 'function': {'name': 'weather'}}
        for choice in ('required', named):
            (content, calls, reason), = self.both(messages=question, tool_choice=choice, temperature=0)
            self.assertEqual((content, reason), (None, 'tool_calls'))
            self.assertGreater(len(calls), 0)
            if city is not None:
                self.assertEqual((calls[0][0], json.loads(calls[0][1])['city']), ('weather', city))
        (content, calls, _), = self.both(messages=question, tool_choice='none', temperature=0, max_tokens=20)
        self.assertEqual(calls, [])
        (content, calls, _), = self.both(messages=question, temperature=0, response_format=NAME)
        self.assertTrue(calls or json.loads(content)['text'] is not None)

    def test_smollm2(self):
        self.run_model('smollm2.gguf', None, 'Paris')

    def test_qwen2(self):
        self.run_model('qwen2-0.5b-q4_k_m.gguf', TEMPLATES['hermes'])


if __name__ == '__main__':
    unittest.main()
