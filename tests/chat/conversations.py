"""The twelve conversations that every template is tried with, and Jinja2 as transformers configures it.

Needs Jinja2 3.1; what it gives is kept in files, so that the tests need no Python package.
"""

import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2025, 7, 4, 9, 5, 6)

TOOLS = [
    {'type': 'function', 'function': {
        'name': 'get_weather', 'description': 'The weather at a place, "now" & here <ok>.',
        'parameters': {'type': 'object', 'properties': {
            'city': {'type': 'string', 'description': 'Name of the city'},
            'unit': {'type': 'string', 'enum': ['celsius', 'fahrenheit']}}, 'required': ['city']}}},
    {'type': 'function', 'function': {
        'name': 'add', 'description': 'Adds', 'parameters': {'type': 'object', 'properties': {
            'a': {'type': 'number'}, 'b': {'type': 'number', 'default': 1.5}}, 'required': ['a', 'b']}}},
]


def call(name, arguments, identity='123456789'):
    return {'id': identity, 'type': 'function', 'function': {'name': name, 'arguments': arguments}}


def user(text):
    return {'role': 'user', 'content': text}


def assistant(text, **more):
    return {'role': 'assistant', 'content': text, **more}


SYSTEM = {'role': 'system', 'content': 'You are terse.'}
CONVERSATIONS = {
    'user': {'messages': [user('Hello!')]},
    'system': {'messages': [SYSTEM, user('Hello!')]},
    'turns': {'messages': [user(' One '), assistant('Two'), user('Three\n\nlines'), assistant(' Four\n'), user('Five')]},
    'system_turns': {'messages': [SYSTEM, user('a'), assistant('b'), user('c'), assistant('d')],
                     'add_generation_prompt': False},
    'tools': {'messages': [SYSTEM, user('Weather in Bern?')], 'tools': TOOLS},
    'tool_call': {'messages': [user('Weather?'), assistant('', tool_calls=[call('get_weather', {'city': 'Bern'})])],
                  'tools': TOOLS, 'add_generation_prompt': False},
    'tool_result': {'messages': [
        SYSTEM, user('Weather?'), assistant('', tool_calls=[call('get_weather', {'city': 'Zürich', 'unit': 'celsius'})]),
        {'role': 'tool', 'name': 'get_weather', 'tool_call_id': '123456789', 'content': '{"temperature": 21.5}'}],
        'tools': TOOLS},
    'tool_calls': {'messages': [
        user('Add'), assistant(None, tool_calls=[call('add', {'a': 1, 'b': 2.0}), call('add', {'a': 1e20, 'b': -3}, 'abcdefghi')]),
        {'role': 'tool', 'name': 'add', 'tool_call_id': '123456789', 'content': '3.0'},
        {'role': 'tool', 'name': 'add', 'tool_call_id': 'abcdefghi', 'content': '1e20'},
        assistant('Both done.'), user('Thanks')], 'tools': TOOLS},
    'unicode': {'messages': [user('Grüße, 世界 👩‍👩‍👧 \u0301 \t tab'), assistant('日本語 "quoted" \\ back'), user('<|im_end|> é')]},
    'empty': {'messages': []},
    'thinking': {'messages': [user('Think'), assistant('<think>\nhm\n</think>\n\nDone', reasoning_content='hm'), user('More')],
                 'enable_thinking': False},
    'parts': {'messages': [{'role': 'user', 'content': [{'type': 'text', 'text': 'part one'},
                                                        {'type': 'text', 'text': 'part two'}]},
                           assistant([{'type': 'text', 'text': 'answer'}]), user('end')]},
}
TOKENS = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>', 'pad_token': '<pad>'}


class Generation(jinja2.ext.Extension):
    tags = {'generation'}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(['name:endgeneration'], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method('_text'), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters['tojson'] = tojson
    env.globals['raise_exception'] = raise_exception
    env.globals['strftime_now'] = NOW.strftime
    env.globals['dict'] = Dict()
    return env


def render(source, conversation):
    """The text, or None where the template refuses or fails."""
    variables = {'tools': None, 'documents': None, 'add_generation_prompt': True, **TOKENS,
                 **json.loads(json.dumps(conversation))}
    try:
        return environment().from_string(source).render(**variables)
    except Exception:  # whatever Python says of a template's mistake
        return None
