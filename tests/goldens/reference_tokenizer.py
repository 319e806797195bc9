"""The tokenizer of a GGUF file in the implementation it came from: Hugging Face tokenizers, or sentencepiece."""

import gguf
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2

CONTROL, USER_DEFINED, BYTE = 3, 4, 6


def metadata(reader, key):
    return reader.fields["tokenizer.ggml." + key].contents()


def byte_level(reader):
    """Byte-level BPE as SmolLM2 pre-tokenizes: digits one by one, then GPT-2's expression."""
    assert metadata(reader, "pre") == "smollm"
    names = metadata(reader, "tokens")
    merges = [tuple(merge.split(" ")) for merge in metadata(reader, "merges")]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({name: i for i, name in enumerate(names)}, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    kinds = metadata(reader, "token_type")
    tokenizer.add_special_tokens([name for name, kind in zip(names, kinds) if kind == CONTROL])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def sentencepiece_bpe(reader):
    """Control tokens aren't parsed."""
    model = sentencepiece_model_pb2.ModelProto()
    unknown = metadata(reader, "unknown_token_id")
    rows = zip(metadata(reader, "tokens"), metadata(reader, "scores"), metadata(reader, "token_type"))
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    for i, (name, score, kind) in enumerate(rows):
        # A GGUF file has the user's tokens as they are in the text, sentencepiece has them escaped.
        piece = name.replace(" ", "\u2581") if kind == USER_DEFINED else name
        kind = {CONTROL: kinds.CONTROL, USER_DEFINED: kinds.USER_DEFINED, BYTE: kinds.BYTE}.get(kind, kinds.NORMAL)
        model.pieces.add(piece=piece, score=score, type=kinds.UNKNOWN if i == unknown else kind)
    model.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.unk_id = unknown
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = metadata(reader, "add_space_prefix")
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = True
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    return processor.encode


def read(reader):
    return {"gpt2": byte_level, "llama": sentencepiece_bpe}[metadata(reader, "model")](reader)
