"""Two small vocabularies for the random models, trained on the text below, and texts with their token ids."""

import io

import gguf
import sentencepiece as spm
import tokenizers

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

TRAINING_TEXT = """The quick brown fox jumps over the lazy dog. A library reads a model from a file and makes a context.
The context holds the keys and the values of each sequence, page after page, and the sequence holds the tokens.
Each step computes one row for each token: the row is normalized, projected, rotated and compared with all the keys.
What the rows say is added to the stream, and at the end of the stream there are the logits of the next token.
There is nothing in the world that a small model can tell you about the weather of tomorrow, but it will try.
Once upon a time there was a river, and the river was older than the town, and the town was older than the bridge.
She said that she would come in the morning, and in the morning she was there with the others, waiting for the train.
Numbers like 1, 12, 123 and 2048 are written with digits; names like Anna, Peter and Maria begin with a capital.
"""

TEXTS = ["Hello world", "the river was older than the town", " two  spaces   three", "1234567 numbers, 3.14",
         "new\nlines\n\nand\ttabs ", "It's the model's; we'll see, they've said", "Grüße aus Köln", "日本語のテキスト",
         "emoji 🙂 end", "", " ", "CamelCase and UPPER", "a" * 30, "!!!???...", "trailing space "]


class ByteLevel:
    def __init__(self, n_vocab):
        self.control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        self.tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        self.tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=n_vocab, special_tokens=self.control, show_progress=False,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
        self.tokenizer.train_from_iterator([TRAINING_TEXT], trainer)
        assert self.tokenizer.get_vocab_size() == n_vocab

    def write(self, writer):
        import json
        model = json.loads(self.tokenizer.to_str())["model"]
        names = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(names)
        writer.add_token_types([CONTROL if name in self.control else NORMAL for name in names])
        writer.add_token_merges(merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_pad_token_id(2)
        writer.add_add_bos_token(False)
        writer.add_add_space_prefix(False)

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def write_texts(self, path):
        write_texts(path, self.encode)


class Sentencepiece:
    def __init__(self, n_vocab):
        data = io.BytesIO()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(TRAINING_TEXT.splitlines()), model_writer=data, model_type="bpe", vocab_size=n_vocab,
            byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
            pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
            unk_piece="<unk>", control_symbols=["<start_of_turn>", "<end_of_turn>"], split_digits=True,
            character_coverage=1.0, num_threads=1, minloglevel=2)
        self.processor = spm.SentencePieceProcessor(model_proto=data.getvalue())
        assert self.processor.vocab_size() == n_vocab

    def write(self, writer):
        processor = self.processor
        ids = range(processor.vocab_size())
        kinds = [UNKNOWN if processor.is_unknown(i) else CONTROL if processor.is_control(i) else
                 BYTE if processor.is_byte(i) else NORMAL for i in ids]
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([processor.id_to_piece(i) for i in ids])
        writer.add_token_scores([processor.get_score(i) for i in ids])
        writer.add_token_types(kinds)
        writer.add_bos_token_id(2)
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_eos_token(False)
        writer.add_add_space_prefix(False)

    def encode(self, text):
        return self.processor.encode(text)

    def write_texts(self, path):
        write_texts(path, self.encode)


def write_texts(path, encode):
    """Two lines a text: its UTF-8 bytes in hexadecimal, and its ids without added tokens."""
    with open(path, "w") as file:
        for text in TEXTS:
            file.write(text.encode().hex() + "\n" + " ".join(map(str, encode(text))) + "\n")


byte_level = ByteLevel
sentencepiece = Sentencepiece
