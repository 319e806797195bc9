"""A server under test: started as users do, asked over HTTP, its counts and memory read from outside."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / 'tests/goldens/data'
SMALL = DATA / 'small/llama-gqa.gguf'
TEMPLATE = ("{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools>{% endif %}"
            "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")


def real_model(name):
    """One of the models that are downloaded for tests, or None."""
    folder = os.environ.get('TEST_MODELS') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'libtransformer/models')
    path = pathlib.Path(folder) / name
    return path if path.exists() else None


def _keep_one_label(folder):
    """The first of the labels that a cross-encoder scores, as rerankers have it."""
    config = json.loads((folder / 'config.json').read_text())
    config.update(id2label={'0': 'LABEL_0'}, label2id={'LABEL_0': 0})
    (folder / 'config.json').write_text(json.dumps(config))
    data = (folder / 'model.safetensors').read_bytes()
    length = int.from_bytes(data[:8], 'little')
    head = json.loads(data[8:8 + length])
    for name in ('classifier.weight', 'classifier.bias'):
        n_labels, begin, end = head[name]['shape'][0], *head[name]['data_offsets']
        head[name]['shape'][0] = 1
        head[name]['data_offsets'] = [begin, begin + (end - begin) // n_labels]
    tensors, body, out = data[8 + length:], b'', {}
    for name, tensor in head.items():
        if name != '__metadata__':
            begin, end = tensor['data_offsets']
            out[name] = {**tensor, 'data_offsets': [len(body), len(body) + end - begin]}
            body += tensors[begin:end]
    text = json.dumps(out).encode()
    (folder / 'model.safetensors').write_bytes(len(text).to_bytes(8, 'little') + text + body)


def make_encoder(folder, source):
    """A small encoder of random weights with a tokenizer for letters and digits: its 61 tokens are BERT's special
    ones, letters at the beginning of words and in them, and four digits."""
    shutil.copytree(DATA / 'encoders' / source, folder)
    if (folder / 'config.json').read_text().find('id2label') >= 0:
        _keep_one_label(folder)
    letters = [chr(ord('a') + i) for i in range(26)]
    tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *letters, *('##' + x for x in letters), *'0123']
    special = [{'id': i, 'content': tokens[i], 'single_word': False, 'lstrip': False, 'rstrip': False,
                'normalized': False, 'special': True} for i in range(5)]
    pair = [('SpecialToken', '[CLS]', 0), ('Sequence', 'A', 0), ('SpecialToken', '[SEP]', 0), ('Sequence', 'B', 1),
            ('SpecialToken', '[SEP]', 1)]
    parts = [{kind: {'id': name, 'type_id': type_id}} for kind, name, type_id in pair]
    (folder / 'tokenizer.json').write_text(json.dumps({
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': special,
        'normalizer': {'type': 'BertNormalizer', 'clean_text': True, 'handle_chinese_chars': True,
                       'strip_accents': None, 'lowercase': True},
        'pre_tokenizer': {'type': 'BertPreTokenizer'},
        'post_processor': {'type': 'TemplateProcessing', 'single': parts[:3], 'pair': parts, 'special_tokens': {
            name: {'id': name, 'ids': [tokens.index(name)], 'tokens': [name]} for name in ('[CLS]', '[SEP]')}},
        'decoder': {'type': 'WordPiece', 'prefix': '##', 'cleanup': True},
        'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##',
                  'max_input_chars_per_word': 100, 'vocab': {token: i for i, token in enumerate(tokens)}}}))
    (folder / 'tokenizer_config.json').write_text(json.dumps(
        {'tokenizer_class': 'BertTokenizer', 'do_lower_case': True, 'cls_token': '[CLS]', 'sep_token': '[SEP]',
         'unk_token': '[UNK]', 'pad_token': '[PAD]', 'mask_token': '[MASK]'}))
    return folder


class Server:
    def __init__(self, *arguments, models=(f'small={SMALL}',), environment=None, template=TEMPLATE):
        self.folder = tempfile.TemporaryDirectory()
        command = [sys.executable, '-m', 'transformer_serve', '--port', '0']
        if template is not None:
            path = pathlib.Path(self.folder.name) / 'template.jinja'
            path.write_text(template)
            command += ['--chat-template', path]
        for model in models:
            command += ['--model', model]
        self.client = httpx.Client(timeout=60)
        self.errors = open(os.path.join(self.folder.name, 'stderr'), 'w+')
        self.process = subprocess.Popen([*map(str, command), *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env={**os.environ, **(environment or {})})
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            self.process.wait()
            reason = self.log()
            self.close()
            raise RuntimeError('the server does not start: ' + reason)
        self.client.base_url = self.url

    def log(self):
        self.errors.flush()
        return pathlib.Path(self.errors.name).read_text()

    def post(self, path, body, **named):
        return self.client.post('/v1/' + path, json=body, **named)

    def metric(self, name, model=None):
        label = model or '[^"]*'
        found = re.search(rf'^transformer_{name}{{model="{label}"}} (\S+)$', self.client.get('/metrics').text, re.M)
        return float(found.group(1))

    def wait_for(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def is_empty(self, model=None):
        """Nothing runs, and every page is back."""
        return (self.metric('sequences', model) == 0 and self.metric('running', model) == 0 and
                self.metric('waiting', model) == 0 and
                self.metric('pages_free', model) == self.metric('pages', model))

    def resident(self):
        """Bytes of memory that the process has for itself."""
        text = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        return int(re.search(r'RssAnon:\s+(\d+)', text).group(1)) << 10

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def close(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        self.folder.cleanup()
