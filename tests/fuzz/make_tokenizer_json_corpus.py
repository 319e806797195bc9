"""Writes corpus/tokenizer_json for fuzz_tokenizer_json. Run: python3 make_tokenizer_json_corpus.py"""
import json
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus', 'tokenizer_json')
BPE = {'type': 'BPE', 'vocab': {c: i for i, c in enumerate(['<unk>', 'a', 'b', 'ab', 'é', 'Ġ', 'Ġa', '▁', '▁a', 'T', 'h', 'e', 'he', '</w>', '##x'])},
       'merges': ['a b', ['h', 'e'], 'Ġ a', '▁ a'], 'unk_token': '<unk>'}
BYTES = {**BPE, 'vocab': {f'<0x{b:02X}>': b for b in range(256)}, 'merges': [], 'byte_fallback': True, 'unk_token': None}
PIECES = {'type': 'WordPiece', 'vocab': {'[UNK]': 0, 'the': 1, '##x': 2, 'c': 3, '##a': 4, '##f': 5}, 'unk_token': '[UNK]',
          'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100}
LEVEL = {'type': 'WordLevel', 'vocab': {'u': 0, 'The': 1, 'y': 2}, 'unk_token': 'u'}
UNIGRAM = {'type': 'Unigram', 'unk_id': 0, 'byte_fallback': False,
           'vocab': [['<unk>', 0], ['▁', -2], ['a', -3], ['The', -4.5], ['▁The', -5], ['e', -6e0]]}


def token(content, **flags):
    return {'id': 0, 'content': content, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False, 'special': True, **flags}


def split(pattern, behavior='Isolated', kind='Regex', invert=False):
    return {'type': 'Split', 'pattern': {kind: pattern}, 'behavior': behavior, 'invert': invert}


def sequence(name, *steps):
    return {'type': 'Sequence', name: list(steps)}


BYTE_LEVEL = {'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': False, 'use_regex': True}
META = {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'first', 'split': True}
CASES = {
    'bytes': dict(model={**BPE, 'ignore_merges': True}, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL, added_tokens=[token('<s>', lstrip=True, rstrip=True)],
                  post_processor={'type': 'RobertaProcessing', 'sep': ['e', 1], 'cls': ['a', 2], 'trim_offsets': True, 'add_prefix_space': True}),
    'affixes': dict(model={**BPE, 'end_of_word_suffix': '</w>', 'continuing_subword_prefix': '##', 'fuse_unk': True},
                    pre_tokenizer={'type': 'Whitespace'}, decoder={'type': 'BPEDecoder', 'suffix': '</w>'}),
    'fallback': dict(model=BYTES, normalizer=sequence('normalizers', {'type': 'Prepend', 'prepend': '▁'},
                                                      {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'}),
                     decoder=sequence('decoders', {'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '}, {'type': 'ByteFallback'},
                                      {'type': 'Fuse'}, {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}),
                     post_processor={'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': 's', 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}],
                                     'pair': [{'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}],
                                     'special_tokens': {'s': {'id': 's', 'ids': [1, 2], 'tokens': ['a', 'b']}}}),
    'bert': dict(model=PIECES, normalizer={'type': 'BertNormalizer', 'clean_text': True, 'handle_chinese_chars': True, 'strip_accents': None, 'lowercase': True},
                 pre_tokenizer={'type': 'BertPreTokenizer'}, decoder={'type': 'WordPiece', 'prefix': '##', 'cleanup': True},
                 post_processor={'type': 'BertProcessing', 'sep': ['x', 1], 'cls': ['c', 2]}),
    'level': dict(model=LEVEL, normalizer=sequence('normalizers', *[{'type': t} for t in ['NFD', 'NFC', 'NFKD', 'NFKC', 'Lowercase', 'StripAccents', 'Nmt', 'ByteLevel']]),
                  pre_tokenizer=sequence('pretokenizers', {'type': 'WhitespaceSplit'}, {'type': 'Digits', 'individual_digits': True},
                                         {'type': 'Punctuation', 'behavior': 'Contiguous'}, {'type': 'CharDelimiterSplit', 'delimiter': 'é'},
                                         {'type': 'FixedLength', 'length': 2})),
    'unigram': dict(model=UNIGRAM, normalizer=sequence('normalizers', {'type': 'Strip', 'strip_left': True, 'strip_right': True},
                                                       {'type': 'Precompiled', 'precompiled_charsmap': 'AAAAAA=='}), pre_tokenizer=META, decoder=META,
                    added_tokens=[token('word', single_word=True, normalized=True, special=False), token('▁y', normalized=True)]),
    'regexes': dict(model=LEVEL, pre_tokenizer=sequence('pretokenizers', split('[\\p{L}&&[^a-c]]+|\\w{2,3}?', 'MergedWithNext'),
                                                        split('(?i:the)\\b|(?<=e)x|\\s++', 'MergedWithPrevious'), split('e*', 'Removed'),
                                                        split('a', kind='String'), split('^.|[^\\S\\n]$|(.)\\1', 'Contiguous', invert=True)),
                    normalizer={'type': 'Replace', 'pattern': {'Regex': '(a|aa)+[bc]|\\h'}, 'content': 'xx'}),
    'accent-first': dict(model=LEVEL, normalizer={'type': 'NFD'}),
    'broken-json': '{"model": {"type": "BPE", "vocab": {"a": 0, ',
    'holes': dict(model={**LEVEL, 'vocab': {'u': 0, 'z': 900}}), 'far': dict(model={**LEVEL, 'vocab': {'u': 0, 'z': 90000000}}),
    'no-unknown': dict(model={**LEVEL, 'unk_token': 'gone'}), 'dropout': dict(model={**BPE, 'dropout': 0.5}),
    'deep': '[' * 70, 'unknown-step': dict(model=LEVEL, normalizer={'type': 'Spell'}), 'bad-merge': dict(model={**BPE, 'merges': ['a b c']}),
    'bad-regex': dict(model=LEVEL, pre_tokenizer=split('(a')), 'bad-template': dict(model=LEVEL, post_processor={'type': 'BertProcessing', 'sep': ['x', 7], 'cls': ['c', 2]}),
}

if __name__ == '__main__':
    os.makedirs(FOLDER, exist_ok=True)
    for name, case in CASES.items():
        text = case if isinstance(case, str) else json.dumps(case, ensure_ascii=False, separators=(',', ':'))
        with open(os.path.join(FOLDER, name), 'wb') as to:
            start = b'\0\xc3\xa9' if name == 'accent-first' else b'\0'
            to.write(text.encode() + (start + b' the  word\xc3\xa9\xcc\x81 abab<s> ' + b'\xff\xf0\x9f' if name != 'deep' else b''))
