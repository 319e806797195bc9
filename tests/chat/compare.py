#!/usr/bin/env python3
"""Compares the library's prompts with Jinja2's for every template of a folder and twelve conversations.

usage: compare.py LIBRARY MODEL FOLDER      LIBRARY: libtransformer.so; MODEL: any GGUF file

The templates are other projects' texts and not kept here. llama.cpp has a folder of them, models/templates:
    pip download --no-binary :all: --no-deps llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz --wildcards '*/models/templates/*.jinja'
"""

import calendar
import ctypes
import json
import pathlib
import sys

import conversations


class Model(ctypes.Structure):
    _fields_ = [('struct_size', ctypes.c_uint64), ('path', ctypes.c_char_p), ('rest', ctypes.c_uint8 * 80)]


class Chat(ctypes.Structure):
    _fields_ = [('struct_size', ctypes.c_uint64), ('messages', ctypes.c_void_p), ('n_messages', ctypes.c_int64)] + [
        (name, ctypes.c_char_p) for name in ('messages_json', 'tools_json', 'documents_json', 'variables_json',
                                             'template_name', 'template_text')] + [
        ('local_time', ctypes.c_int64), ('add_generation_prompt', ctypes.c_uint32), ('reserved', ctypes.c_uint32)]


class Library:
    def __init__(self, path, model):
        self.lib = ctypes.CDLL(path)
        self.lib.transformer_last_error.restype = ctypes.c_char_p
        self.model = ctypes.c_void_p()
        options = Model(struct_size=ctypes.sizeof(Model), path=model.encode())
        if self.lib.transformer_model_open(ctypes.byref(options), ctypes.byref(self.model)):
            raise OSError(self.error())

    def error(self):
        return self.lib.transformer_last_error().decode()

    def render(self, source, conversation):
        more = dict(conversations.TOKENS, **conversation)
        messages, tools = more.pop('messages', []), more.pop('tools', None)
        generation = more.pop('add_generation_prompt', True)
        options = Chat(struct_size=ctypes.sizeof(Chat), messages_json=json.dumps(messages).encode(),
                       tools_json=json.dumps(tools).encode() if tools else None,
                       variables_json=json.dumps(more).encode(), template_text=source.encode(),
                       local_time=calendar.timegm(conversations.NOW.timetuple()),
                       add_generation_prompt=2 if generation else 1)
        buffer, length = ctypes.create_string_buffer(1 << 20), ctypes.c_int64()
        status = self.lib.transformer_chat_format(self.model, ctypes.byref(options), buffer,
                                                  ctypes.c_int64(len(buffer)), ctypes.byref(length))
        return None if status else buffer.raw[:length.value].decode()


def main():
    library = Library(sys.argv[1], sys.argv[2])
    same = refused = different = 0
    for path in sorted(pathlib.Path(sys.argv[3]).rglob('*.jinja')):
        for name, conversation in conversations.CONVERSATIONS.items():
            source = path.read_text()
            expected, got = conversations.render(source, conversation), library.render(source, conversation)
            same += expected == got
            refused += expected is None and got is None
            if expected != got:
                different += 1
                print(f'{path.stem} {name}: ' + (library.error() if got is None else ''))
                if got is not None:
                    at = next((i for i, (x, y) in enumerate(zip(expected or '', got)) if x != y), -1)
                    print(f'    Jinja2 {(expected or "refuses")[max(0, at - 20):at + 60]!r}\n'
                          f'    ours   {got[max(0, at - 20):at + 60]!r}')
    print(f'{same} alike ({refused} of them refused by both), {different} different')
    return different != 0


if __name__ == '__main__':
    sys.exit(main())
