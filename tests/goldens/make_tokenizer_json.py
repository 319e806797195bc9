"""Makes tests/goldens/tokenizer_json: small tokenizers of every kind that tokenizer.json can describe, and hashes
of what Hugging Face tokenizers makes of 10,000 strings with each.

    python3 tests/goldens/make_tokenizer_json.py [--dump CASE FOLDER]

atoms.txt  the pieces that strings are made of, one a line, in hex
MODEL.json what "model" is in the file of some cases
cases.txt  for each case: its name and model, the other members of its file, hashes, samples

tests/golden/test_tokenizer_json.c makes the same strings. Bytes that are not UTF-8 become U+FFFD, one for each
maximal subpart, before either side sees the text. Needs tokenizers (made with 0.23.3).
"""
import base64
import json
import pathlib
import random
import struct
import sys
import unicodedata

from tokenizers import Tokenizer, models, pre_tokenizers, trainers, normalizers, decoders, Regex

FOLDER = pathlib.Path(__file__).parent / 'tokenizer_json'
STRINGS, BLOCK, SAMPLES = 10000, 250, 1
MASK = (1 << 64) - 1

# ---- the strings: the C test has the same three functions


class Random:
    """splitmix64"""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9e3779b97f4a7c15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & MASK
        z = ((z ^ z >> 27) * 0x94d049bb133111eb) & MASK
        return z ^ z >> 31

    def below(self, n):
        return self.next() % n


def make_string(atoms, index):
    rng = Random(index)
    if rng.below(50) == 0:  # a long run
        return atoms[rng.below(len(atoms))] * (100 + rng.below(400)) + atoms[rng.below(len(atoms))]
    parts = []
    for _ in range(rng.below(14)):
        parts.append(atoms[rng.below(len(atoms))])
        if rng.below(3) == 0:
            parts.append(b' ')
    return b''.join(parts)


def add_to_hash(value, data):
    """FNV-1a"""
    for byte in data:
        value = ((value ^ byte) * 0x100000001b3) & MASK
    return value


# ---- atoms

WORDS = '''the of and in river flows under old bridge when tokenizers were trained I'm you're we've he'll she'd it's DON'T
Can'T IT'S l'été naïve façade Straße STRASSE coöperate Ærøskøbing Ελληνικά γλώσσα ΣΊΣΥΦΟΣ Привет мир Ёлка ЙОД українська
שלום עולם العربية مرحبا ١٢٣ हिन्दी नमस्ते क्षत्रिय தமிழ் ภาษาไทย น้ำ ລາວ 한국어 안녕하세요 각 日本語 ひらがな カタカナ ガギグ ｶﾞｷﾞ 中文字符 漢字
龍 𠀀𠀁 ქართული Հայերեն አማርኛ ᏣᎳᎩ ﬁne ﬂow ﬆ ①②③ Ⅷ ½ ¼ ² ³ ㎏ ㌔ ™ ℵ Å Ω K ſharp İstanbul ıIiİ ǅ ǆ ŉ ß ẞ ö ő Ǖ ậ Ợ
123 45678 1,234.5 3.14e-10 0x1F 2024-12-31 a1b2c3 _under_score CamelCase XMLHttpRequest ALLCAPS e.g. U.S.A. foo@bar.com
https://example.org/a/b?c=d#e #include <stdio.h> {"key":[1,2]} f(x)=y; a+b-c*d/e%f&&g||!h <=> ... --- === ?! ,, '' "" `` ~~ $5 €6 £7
don't do not can't isn't who's she'll they're . , ! ? ' s've re're'''.split()
SPECIALS = ['<s>', '</s>', '<unk>', '<pad>', '<mask>', '[CLS]', '[SEP]', '[UNK]', '[MASK]', '[PAD]', '<|endoftext|>',
            '<|im_start|>', '<|x|>', 'Word', 'word', 'wordy', 'New York', '▁</s>', '<0x0A>', '▁', '##']
SPACES = [' ', '  ', '   ', '\n', '\r\n', '\n\n', '\t', ' \n', '\n ', '\v', '\f', '\x85', '\u00a0', '\u2003', '\u2028', '\u3000', '\u202f',
          ' \t \n  ', '\r', '\u1680', '        ']
OTHERS = ['\0', '\x01', '\x1f', '\x7f', '\x8f', '\x9f', '\u00ad', '\u200b', '\u200c', '\u200d', '\u200e', '\u2060', '\ufeff', '\ufffd', '\ue000',
          '\u0301', '\u0300\u0301', '\u0323\u0302', '\u0302\u0323', '\u05b0', '\u093c', '\u0e33', '\u3099', '\u20dd', '\u1100\u1161\u11a8',
          'e\u0301', 'a\u0323\u0302', 'q\u0307\u0323', '\u1e0b\u0323', '\u0958', '\u2126', '\u212b', '\uf900', '\u2fa1f', '\ufb1d', '\ufdfa',
          '😀', '👍🏽', '👩‍👩‍👧‍👦', '🇩🇪', '🇺🇸🇫', '❤️', '☎', '1️⃣', '🏴‍☠️', '𝕏𝟙', '𝒜', '🎉🎉', '♥︎', '–', '—', '…', '“”', '‘’', '«»', '。',
          '、', '！', '？', '：', '（）', '・', '¿', '¡', '§', '¶', '°', '±', '×', '÷', '^', '|', '\\', '/']
BROKEN = ['80', 'c3', 'e282', 'f09f98', 'c0af', 'eda080', 'f4908080', 'ff', 'fe80', 'e28228', 'f09f', 'c3c3', 'e0809f', '61ff62']


def make_atoms():
    rng = random.Random(1)
    old = unicodedata.ucd_3_2_0  # characters that all the Unicode versions at work agree about
    points = [c for c in range(0x80, 0x30000)
              if old.category(chr(c)) == unicodedata.category(chr(c)) and old.category(chr(c)) not in ('Cn', 'Cs', 'Co')
              and old.decomposition(chr(c)) == unicodedata.decomposition(chr(c)) and chr(c).lower() == chr(c).casefold()]
    few = [c for c in points if not 0x3400 <= c < 0xa000 and not 0xac00 <= c < 0xd7a4 and c < 0x20000]
    marks = [c for c in points if unicodedata.combining(chr(c))]
    texts = WORDS + SPECIALS + SPACES * 3 + OTHERS
    texts += [chr(c) for c in rng.sample(few, 300) + rng.sample(points, 40) + rng.sample(marks, 40)]
    texts += [''.join(chr(rng.choice(few)) for _ in range(4)) for _ in range(40)]
    texts += [rng.choice('aeoEnZ') + ''.join(chr(rng.choice(marks)) for _ in range(3)) for _ in range(40)]
    texts += list('abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789.,!?-')
    return [text.encode() for text in texts] + [bytes.fromhex(text) for text in BROKEN]


# ---- models

def training_texts(atoms):
    words = [word for word in WORDS if word.isascii()] + ['Привет', 'мир', '日本語', '中文', 'été', 'Ελληνικά']
    rng = random.Random(2)
    return [' '.join(rng.choice(words) for _ in range(12)) for _ in range(300)]


def train(model, trainer, texts, pre=None, normalizer=None):
    tokenizer = Tokenizer(model)
    if pre:
        tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())['model']


def bytes_first(model):
    """The tokens of bytes before all others, as SentencePiece has them."""
    extra = ['<unk>', '<s>', '</s>'] + [f'<0x{b:02X}>' for b in range(256)]
    vocab = {text: i for i, text in enumerate(extra)}
    for text in sorted(model['vocab'], key=model['vocab'].get):
        vocab.setdefault(text, len(vocab))
    return {**model, 'vocab': vocab, 'byte_fallback': True, 'unk_token': '<unk>', 'fuse_unk': True}


def make_models(texts):
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made = {}
    made['bytes'] = train(models.BPE(), trainers.BpeTrainer(vocab_size=450, initial_alphabet=alphabet, show_progress=False),
                          texts, pre_tokenizers.ByteLevel(add_prefix_space=False))
    made['bytes-few'] = train(models.BPE(unk_token='<unk>'), trainers.BpeTrainer(vocab_size=200, show_progress=False,
                                                                             special_tokens=['<unk>']),
                              texts, pre_tokenizers.ByteLevel(add_prefix_space=False))
    whole = json.loads(json.dumps(made['bytes']))
    for text in ['Ġtrained', 'Ġunder', 'ĠDON']:
        whole['vocab'].setdefault(text, len(whole['vocab']))
    made['bytes-whole'] = {**whole, 'ignore_merges': True, 'merges': [' '.join(pair) for pair in whole['merges']]}
    made['spm-bpe'] = bytes_first(train(models.BPE(), trainers.BpeTrainer(vocab_size=250, show_progress=False), texts,
                                        pre_tokenizers.Metaspace()))
    made['clip'] = train(models.BPE(unk_token='<unk>', end_of_word_suffix='</w>'),
                         trainers.BpeTrainer(vocab_size=300, show_progress=False, special_tokens=['<unk>'],
                                             end_of_word_suffix='</w>'), texts, pre_tokenizers.Whitespace())
    made['sharp'] = train(models.BPE(unk_token='<unk>', continuing_subword_prefix='##', fuse_unk=True),
                          trainers.BpeTrainer(vocab_size=300, show_progress=False, special_tokens=['<unk>'],
                                              continuing_subword_prefix='##'), texts, pre_tokenizers.Whitespace())
    made['wordpiece'] = train(models.WordPiece(unk_token='[UNK]'),
                              trainers.WordPieceTrainer(vocab_size=350, show_progress=False,
                                                        special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']),
                              texts, pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer())
    made['wordpiece']['max_input_chars_per_word'] = 20
    made['wordlevel'] = train(models.WordLevel(unk_token='<unk>'),
                              trainers.WordLevelTrainer(vocab_size=120, show_progress=False, special_tokens=['<unk>']),
                              texts, pre_tokenizers.Whitespace())
    unigram = train(models.Unigram(), trainers.UnigramTrainer(vocab_size=200, show_progress=False, unk_token='<unk>',
                                                              special_tokens=['<unk>', '<s>', '</s>']),
                    texts, pre_tokenizers.Metaspace())
    unigram['vocab'] = [[text, round(score, 6)] for text, score in unigram['vocab']]
    made['unigram'] = unigram
    made['unigram-bytes'] = {**unigram, 'byte_fallback': True,
                             'vocab': unigram['vocab'] + [[f'<0x{b:02X}>', -20.0 - b / 256] for b in range(256)]}
    # every character and every edge of a word shows in this one's ids
    made['glass'] = {'type': 'BPE', 'vocab': {f'<0x{b:02X}>': b for b in range(256)}, 'merges': [],
                     'byte_fallback': True, 'continuing_subword_prefix': '~'}
    return made


# ---- cases

def added(content, **flags):
    token = {'id': 0, 'content': content, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
             'special': True}
    return {**token, **flags}


def split(pattern, behavior='Isolated', invert=False, kind='Regex'):
    return {'type': 'Split', 'pattern': {kind: pattern}, 'behavior': behavior, 'invert': invert}


def sequence(*steps, name='pretokenizers'):
    return {'type': 'Sequence', name: list(steps)}


def byte_level(prefix=False, regex=True):
    return {'type': 'ByteLevel', 'add_prefix_space': prefix, 'trim_offsets': True, 'use_regex': regex}


def replace(pattern, content, kind='String'):
    return {'type': 'Replace', 'pattern': {kind: pattern}, 'content': content}


def metaspace(scheme='always', cut=True, replacement='▁'):
    return {'type': 'Metaspace', 'replacement': replacement, 'prepend_scheme': scheme, 'split': cut}


def template(single, pair, tokens):
    def piece(text):
        name, _, kind = text.partition(':')
        if name in '$A$B':
            return {'Sequence': {'id': name[1], 'type_id': int(kind or 0)}}
        return {'SpecialToken': {'id': name, 'type_id': int(kind or 0)}}
    return {'type': 'TemplateProcessing', 'single': [piece(p) for p in single.split()],
            'pair': [piece(p) for p in pair.split()],
            'special_tokens': {name: {'id': name, 'ids': [i], 'tokens': [name]} for name, i in tokens.items()}}


LLAMA3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
QWEN2 = LLAMA3.replace('{1,3}', '')
O200K = ("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
DEEPSEEK = ['\\p{N}{1,3}', '[一-龥\u3040-ゟ゠-ヿ]+',
            '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|'
            '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+']
# that no function of match.h has: by PCRE2
REGEXES = {
    'words': '\\w+', 'edges': '\\b', 'not-words': '\\W+', 'spaces': '\\s+', 'not-spaces': '\\S{2,}', 'digits': '\\d{1,2}+',
    'hex': '\\h+', 'class': '[a-m\\d_]+', 'nested': '[a-c[x-z]]+', 'and': '[\\p{L}&&[^\\p{Lu}]]+', 'not': '[^\\S\\n]+',
    'script': '\\p{Cyrillic}+|\\p{Greek}+', 'han': '\\p{Han}', 'lines': '^.|.$', 'dotall': '(?m:.)b', 'caseless': "(?i:THE|'ll)",
    'possessive': ' ?+[^\\s\\p{L}\\p{N}]++[\\r\\n]*+', 'atomic': '(?>a|ab)c|b', 'behind': '(?<=[0-9])[a-z]', 'not-behind': '(?<!\\s)\\p{P}',
    'reference': '(.)\\1', 'lazy': '".*?"|a??b', 'counts': 'a{,2}b|\\p{L}{2}?', 'posix': '[[:punct:]]+|[[:digit:]]+',
    'empty': '(?=[aeiou])', 'threes': '(?=(\\d{3})+(?!\\d))', 'code-points': '[\\u4e00-\\u9fa5\\x{3040}-\\x{30ff}]+', 'property': '\\p{^L}+',
    'kimi': '[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+',
}


def cases():
    text = [added('<|endoftext|>'), added('<|im_start|>'), added('<|x|>', special=False)]
    yield 'gpt2', 'bytes', dict(pre_tokenizer=byte_level(), decoder=byte_level(), post_processor=byte_level(), added_tokens=text)
    yield 'gpt2-prefix', 'bytes', dict(pre_tokenizer=byte_level(True), decoder=byte_level(),
                                       post_processor={'type': 'RobertaProcessing', 'sep': ['</s>', 451], 'cls': ['<s>', 450],
                                                       'trim_offsets': True, 'add_prefix_space': True},
                                       added_tokens=[added('<s>'), added('</s>'), added('<mask>', lstrip=True)])
    yield 'llama3', 'bytes-whole', dict(
        pre_tokenizer=sequence(split(LLAMA3), byte_level(regex=False)), decoder=byte_level(), added_tokens=text,
        post_processor=sequence(byte_level(), template('<|endoftext|> $A', '<|endoftext|> $A <|endoftext|>:1 $B:1',
                                                       {'<|endoftext|>': 453}), name='processors'))
    yield 'qwen2', 'bytes', dict(normalizer={'type': 'NFC'}, pre_tokenizer=sequence(split(QWEN2), byte_level(regex=False)),
                                 decoder=byte_level(), post_processor=byte_level(), added_tokens=text)
    yield 'o200k', 'bytes-whole', dict(pre_tokenizer=sequence(split(O200K, 'Removed', True), byte_level(regex=False)), decoder=byte_level())
    yield 'deepseek', 'bytes', dict(normalizer=sequence(name='normalizers'), decoder=byte_level(),
                                    pre_tokenizer=sequence(*[split(p) for p in DEEPSEEK], byte_level(regex=False)))
    yield 'starcoder', 'bytes', dict(pre_tokenizer=sequence({'type': 'Digits', 'individual_digits': True}, byte_level()), decoder=byte_level())
    yield 'bytes-unknown', 'bytes-few', dict(pre_tokenizer=byte_level(), decoder=byte_level())
    yield 'bytes-normalizer', 'bytes', dict(normalizer={'type': 'ByteLevel'}, pre_tokenizer=split('Ġ', 'MergedWithNext', kind='String'),
                                            decoder=byte_level(), added_tokens=[added('New York', normalized=True, special=False)])
    fallback = sequence(replace('▁', ' '), {'type': 'ByteFallback'}, {'type': 'Fuse'},
                        {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}, name='decoders')
    spm = [added('<unk>'), added('<s>'), added('</s>')]
    llama = template('<s> $A', '<s> $A <s>:1 $B:1', {'<s>': 1})
    yield 'llama2', 'spm-bpe', dict(normalizer=sequence({'type': 'Prepend', 'prepend': '▁'}, replace(' ', '▁'), name='normalizers'),
                                    decoder=fallback, post_processor=llama, added_tokens=spm)
    yield 'llama2-normalized', 'spm-bpe', dict(
        normalizer=sequence({'type': 'Prepend', 'prepend': '▁'}, replace(' ', '▁'), name='normalizers'), decoder=fallback,
        post_processor=llama, added_tokens=[added('<unk>', normalized=True), added('<s>', normalized=True), added('</s>', normalized=True),
                                            added('word', normalized=True, special=False)])
    yield 'mistral', 'spm-bpe', dict(pre_tokenizer=metaspace('first', False), decoder=fallback, post_processor=llama, added_tokens=spm)
    yield 'gemma', 'spm-bpe', dict(normalizer=replace(' ', '▁'), pre_tokenizer=split(' ', 'MergedWithPrevious', kind='String'),
                                   decoder=sequence(replace('▁', ' '), {'type': 'ByteFallback'}, {'type': 'Fuse'}, name='decoders'),
                                   post_processor=template('<s> $A', '<s> $A <s>:1 $B:1', {'<s>': 1}), added_tokens=spm)
    yield 'clip', 'clip', dict(normalizer=sequence({'type': 'NFC'}, replace('\\s+', ' ', 'Regex'), {'type': 'Lowercase'}, name='normalizers'),
                               pre_tokenizer=split("'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+", 'Removed', True),
                               decoder={'type': 'BPEDecoder', 'suffix': '</w>'}, added_tokens=[added('<unk>')])
    yield 'sharp', 'sharp', dict(pre_tokenizer={'type': 'Whitespace'}, decoder={'type': 'WordPiece', 'prefix': '##', 'cleanup': False})
    bert = [added(t) for t in ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']]
    bert[4]['lstrip'] = True
    for name, flags in {'bert': (True, True, None, True), 'bert-cased': (True, True, None, False),
                        'bert-accents': (False, False, True, False), 'bert-plain': (True, False, False, True)}.items():
        clean, chinese, accents, lower = flags
        yield name, 'wordpiece', dict(
            normalizer={'type': 'BertNormalizer', 'clean_text': clean, 'handle_chinese_chars': chinese, 'strip_accents': accents,
                        'lowercase': lower},
            pre_tokenizer={'type': 'BertPreTokenizer'}, decoder={'type': 'WordPiece', 'prefix': '##', 'cleanup': True}, added_tokens=bert,
            post_processor={'type': 'BertProcessing', 'sep': ['[SEP]', 3], 'cls': ['[CLS]', 2]} if name != 'bert-cased' else
            template('[CLS] $A [SEP]', '[CLS] $A [SEP] $B:1 [SEP]:1', {'[CLS]': 2, '[SEP]': 3}))
    yield 'wordlevel', 'wordlevel', dict(pre_tokenizer={'type': 'Whitespace'}, added_tokens=[added('<pad>'), added('<mask>', rstrip=True)])
    charsmap = base64.b64encode(precompiled_charsmap()).decode()
    t5 = [added('<unk>'), added('<s>'), added('</s>', rstrip=True), added('<mask>', lstrip=True)]
    yield 't5', 'unigram', dict(normalizer={'type': 'Precompiled', 'precompiled_charsmap': charsmap}, decoder=metaspace(),
                                pre_tokenizer=sequence({'type': 'WhitespaceSplit'}, metaspace()), added_tokens=t5,
                                post_processor=template('$A </s>', '$A </s> $B </s>', {'</s>': 2}))
    yield 'xlm-roberta', 'unigram', dict(
        normalizer=sequence({'type': 'Precompiled', 'precompiled_charsmap': charsmap}, replace(' {2,}', ' ', 'Regex'), name='normalizers'),
        pre_tokenizer=metaspace(), decoder=metaspace(), added_tokens=t5,
        post_processor=template('<s> $A </s>', '<s> $A </s> </s> $B </s>', {'<s>': 1, '</s>': 2}))
    yield 'albert', 'unigram-bytes', dict(
        normalizer=sequence(replace('``', '"'), replace("''", '"'), {'type': 'NFKD'}, {'type': 'StripAccents'}, {'type': 'Lowercase'},
                            name='normalizers'), pre_tokenizer=metaspace('first'), decoder=metaspace('never'))
    yield 'unigram-whole', 'unigram', dict(pre_tokenizer=metaspace('never', False), decoder=metaspace())
    # every step on its own
    for name in ['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt', 'ByteLevel']:
        yield 'normalizer-' + name.lower(), 'glass', dict(normalizer={'type': name})
    for left, right in [(True, True), (True, False), (False, True)]:
        yield f'normalizer-strip-{int(left)}{int(right)}', 'glass', dict(
            normalizer=sequence({'type': 'Strip', 'strip_left': left, 'strip_right': right}, {'type': 'Prepend', 'prepend': 'x '},
                                name='normalizers'), added_tokens=[added('<s>')])
    yield 'normalizer-precompiled', 'glass', dict(normalizer={'type': 'Precompiled', 'precompiled_charsmap': charsmap})
    yield 'normalizer-replace', 'glass', dict(normalizer=sequence(replace('e', ''), replace('th', 'ten'), replace('[aeiou]+', '<\\1>', 'Regex'),
                                                                  replace('(?=\\d)', '#', 'Regex'), name='normalizers'))
    for name in ['Whitespace', 'WhitespaceSplit', 'BertPreTokenizer']:
        yield 'words-' + name.lower(), 'glass', dict(pre_tokenizer={'type': name})
    for individual in [False, True]:
        yield f'digits-{int(individual)}', 'glass', dict(pre_tokenizer={'type': 'Digits', 'individual_digits': individual})
    yield 'delimiter', 'glass', dict(pre_tokenizer={'type': 'CharDelimiterSplit', 'delimiter': 'e'})
    yield 'length', 'glass', dict(pre_tokenizer={'type': 'FixedLength', 'length': 3})
    for behavior in ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']:
        yield 'punctuation-' + behavior.lower(), 'glass', dict(pre_tokenizer={'type': 'Punctuation', 'behavior': behavior})
        for invert in [False, True]:
            yield f'split-{behavior.lower()}-{int(invert)}', 'glass', dict(pre_tokenizer=split('[aeiou]|\\s', behavior, invert))
        yield 'split-text-' + behavior.lower(), 'glass', dict(pre_tokenizer=split('e', behavior, kind='String'))
        yield 'split-empty-' + behavior.lower(), 'glass', dict(pre_tokenizer=split('e*', behavior))
    for scheme in ['always', 'first', 'never']:
        for cut in [True, False]:
            yield f'metaspace-{scheme}-{int(cut)}', 'glass', dict(
                pre_tokenizer=sequence(split('\\n'), metaspace(scheme, cut, '_')), decoder=metaspace(scheme, cut, 'e'),
                added_tokens=[added('<s>'), added('word', normalized=True, special=False, single_word=True, lstrip=True, rstrip=True)])
    for name, pattern in REGEXES.items():
        yield 'regex-' + name, 'glass', dict(pre_tokenizer=split(pattern))
    for i, flags in enumerate([dict(), dict(lstrip=True), dict(rstrip=True), dict(single_word=True), dict(normalized=True, single_word=True),
                               dict(normalized=True, lstrip=True, rstrip=True)]):
        yield f'added-{i}', 'glass', dict(
            normalizer={'type': 'Lowercase'}, pre_tokenizer={'type': 'Whitespace'},
            added_tokens=[added(t, **flags) for t in ['<s>', '[CLS]', 'New York']] +
                         [added(t, special=False, **flags) for t in ['Word', 'wordy', '▁</s>', '##', 'ed', ' ']])
    for name, steps in {
            'wordpiece': [{'type': 'WordPiece', 'prefix': '<', 'cleanup': True}],
            'strip': [{'type': 'Strip', 'content': '<', 'start': 2, 'stop': 0}, {'type': 'Strip', 'content': '>', 'start': 0, 'stop': 1}],
            'strip-fused': [{'type': 'ByteFallback'}, {'type': 'Fuse'}, {'type': 'Strip', 'content': 'a', 'start': 3, 'stop': 0}],
            'suffix': [{'type': 'BPEDecoder', 'suffix': '>'}], 'replace': [replace('x[0-4]', '', 'Regex'), replace('>', ' ')],
            'fused': [{'type': 'Fuse'}, metaspace('always', True, '0')]}.items():
        yield 'decoder-' + name, 'glass', dict(decoder=sequence(*steps, name='decoders'))


def precompiled_charsmap():
    """SentencePiece's nmt_nfkc is over 200 KB; this is what it makes of a few rules of one's own."""
    import io
    import sentencepiece
    import tempfile
    rules = [('ﬁ', 'fi'), ('Ａ', 'A'), ('①', '1'), ('  ', ' '), ('\u3000', ' '), ('\n', ' '), ('\t', ' '), ('e\u0301', 'é'), ('É', 'e'), ('Ω', ''),
             ('😀', ':)'), ('\u0301', ''), ('ab', 'b'), ('\u200d', ''), ('が', 'か'), ('か\u3099', 'が')]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'rules.tsv'
        path.write_text(''.join(' '.join(f'{ord(c):X}' for c in a) + '\t' + ' '.join(f'{ord(c):X}' for c in b) + '\n' for a, b in rules))
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(['a b c d e f g h i j'] * 20), model_writer=model, vocab_size=20,
                                                 normalization_rule_tsv=str(path), minloglevel=2, hard_vocab_limit=False)
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def whole_file(model, members):
    """Ids of added tokens are what loading gives them."""
    file = {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [], 'normalizer': None, 'pre_tokenizer': None,
            'post_processor': None, 'decoder': None, 'model': model}
    return {**file, **members}


def main():
    FOLDER.mkdir(exist_ok=True)
    atoms = make_atoms()
    (FOLDER / 'atoms.txt').write_text(''.join(atom.hex() + '\n' for atom in atoms))
    strings = [make_string(atoms, i) for i in range(STRINGS + 1)]  # pairs take the next one
    texts = [string.decode(errors='replace') for string in strings]
    made = make_models(training_texts(atoms))
    dump = sys.argv[2:] if sys.argv[1:2] == ['--dump'] else None
    if not dump:
        for name, model in made.items():
            (FOLDER / (name + '.json')).write_text(json.dumps(model, ensure_ascii=False, separators=(',', ':')) + '\n')
    out = []
    for name, model, members in cases():
        if dump and name != dump[0]:
            continue
        file = whole_file(made[model], members)
        tokenizer = Tokenizer.from_str(json.dumps(file))
        if dump:
            folder = pathlib.Path(dump[1])
            (folder / 'tokenizer.json').write_text(json.dumps(file, ensure_ascii=False))
            (folder / 'corpus.bin').write_bytes(b''.join(struct.pack('<I', len(s)) + s for s in strings))
            with open(folder / 'want.txt', 'w') as want:
                for encode_special in [False, True]:
                    tokenizer.encode_special_tokens = encode_special
                    for text in texts:
                        ids = tokenizer.encode(text, add_special_tokens=not encode_special).ids
                        decoded = tokenizer.decode(ids, skip_special_tokens=not encode_special) if ids else ''
                        want.write(' '.join(map(str, ids)) + '\n' + decoded.encode().hex() + '\n')
            return
        out.append(f'case {name} {model}')
        rest = json.dumps(members, ensure_ascii=False, separators=(',', ':'))
        out.append('json ' + rest[1:-1])
        for mode in range(3):
            # 0: as it is, decoded without special tokens; 1: special tokens neither found nor added, decoded with them; 2: pairs
            tokenizer.encode_special_tokens = mode == 1
            hashes = []
            for first in range(0, STRINGS, BLOCK):
                value = 0xcbf29ce484222325
                for i in range(first, first + BLOCK):
                    if mode == 2:
                        if i % 5:
                            continue
                        encoding = tokenizer.encode(texts[i], texts[i + 1], add_special_tokens=True)
                        value = add_to_hash(value, struct.pack(f'<{len(encoding.ids)}i', *encoding.ids))
                        value = add_to_hash(value, struct.pack(f'<{len(encoding.ids)}i', *encoding.type_ids))
                        continue
                    ids = tokenizer.encode(texts[i], add_special_tokens=mode == 0).ids
                    value = add_to_hash(value, struct.pack(f'<{len(ids)}i', *ids))
                    text = (tokenizer.decode(ids, skip_special_tokens=mode == 0) if ids else '').encode()
                    value = add_to_hash(value, text + b'\xff')
                    if mode == 0 and i < SAMPLES:
                        out.append(f'sample {i} ' + ' '.join(map(str, ids)))
                hashes.append(f'{value >> 32:08x}')
            out.append(f'hash {mode} ' + ' '.join(hashes))
        print(name, flush=True)
    (FOLDER / 'cases.txt').write_text('\n'.join(out) + '\n')


if __name__ == '__main__':
    main()
