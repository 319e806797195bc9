"""Small vocabularies of a Marian model whose sources have one of their own: the files of its folder, and what transformers'
MarianTokenizer makes of texts with them."""

import io
import json
import os

import sentencepiece
import transformers

SOURCES = ["the quick brown fox jumps over the lazy dog", "a dog sat on the old mat", "he ate an apple in the garden",
           "two birds in the tree", "we went to the sea", "quick, quick!", "no one knows why the sky is blue."]
TARGETS = ["der schnelle braune fuchs springt", "ein hund lag auf der matte", "er aß einen apfel im garten",
           "zwei vögel im baum", "wir gingen ans meer", "schnell, schnell!", "warum ist der himmel blau?"]
TEXTS = ["the quick dog", ">>fra<< the old garden", "  two   foxes, why?", "blue \u4e16 sky", ">>xyz<<a dog", "an apple a day.",
         "over the lazy tree in the garden by the sea, no one went to the dog"]
BYTES = 12 # of the target's 256 byte pieces so many are tokens, capitals


def train(texts, size, kind, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 20), model_writer=model, vocab_size=size, model_type=kind, hard_vocab_limit=False,
        normalization_rule_name="identity", minloglevel=2, num_threads=1, bos_id=-1, **options)
    return model.getvalue()


def vocabulary(model, first):
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokens = list(first)
    for i in range(pieces.get_piece_size()):
        if not (pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_byte(i)) and i % 13 != 7: # some are no tokens
            tokens.append(pieces.id_to_piece(i))
    return list(dict.fromkeys(tokens))


def make():
    """Files by their names, and what the model's config says of them."""
    source = train(SOURCES, 90, "unigram")
    target = train(TARGETS, 256 + 30, "bpe", byte_fallback=True)
    of_source = vocabulary(source, ["</s>", "<unk>", ">>fra<<"]) + ["<pad>"]
    capitals = [f"<0x{ord('A') + i:02X}>" for i in range(BYTES)]
    of_target = vocabulary(target, ["<unk>", "</s>", *capitals]) + ["<pad>"]
    assert len(of_source) > len(of_target) > 30, (len(of_source), len(of_target)) # the encoder's table has a row for the decoder's padding
    config = {"separate_vocabs": True, "source_lang": "eng", "target_lang": "deu", "tokenizer_class": "MarianTokenizer"}
    files = {"source.spm": source, "target.spm": target, "tokenizer_config.json": (json.dumps(config) + "\n").encode()}
    for name, tokens in (("vocab.json", of_source), ("target_vocab.json", of_target)):
        files[name] = (json.dumps({token: i for i, token in enumerate(tokens)}, indent=0, ensure_ascii=False) + "\n").encode()
    padding = len(of_target) - 1
    return files, {"vocab_size": len(of_source), "decoder_vocab_size": len(of_target), "pad_token_id": padding,
                   "decoder_start_token_id": padding, "eos_token_id": 1, "forced_eos_token_id": 1}


def write(folder, files):
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as to:
            to.write(data)
    # transformers takes it for its own without this; the ids it is written with are the source's
    return transformers.MarianTokenizer.from_pretrained(folder)


def text(tokenizer, files, ids):
    """Of what the decoder wrote, by the target's vocabulary alone: decode() takes the target's ids for special tokens of the
    source's."""
    tokens = list(json.loads(files["target_vocab.json"]))
    special = ("</s>", "<unk>", "<pad>")
    return tokenizer.spm_target.decode_pieces([tokens[i] for i in ids if tokens[i] not in special]).strip()
