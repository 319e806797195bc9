"""Writes data/encoders: small random encoders and their hidden states.
Run: python3 make_encoders.py [NAME ...]"""

import os
import sys

import gguf
import numpy as np
import torch
import transformers

import golden_file
import random_model

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "encoders")
# Tokens of the sequences: one alone, less than a page of 64 positions, several of them. All but the first of them have
# two token types where the model has: a third of the tokens the first, the others the second.
LENGTHS = (1, 37, 150)

BERT_TOP = [("embeddings.word_embeddings", "token_embd"), ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.token_type_embeddings", "token_types"), ("embeddings.LayerNorm", "token_embd_norm")]
BERT_LAYER = [("attention.self.query", "attn_q"), ("attention.self.key", "attn_k"), ("attention.self.value", "attn_v"),
              ("attention.output.dense", "attn_output"), ("attention.output.LayerNorm", "attn_output_norm"),
              ("intermediate.dense", "ffn_up"), ("output.dense", "ffn_down"), ("output.LayerNorm", "layer_output_norm")]
SIZES = dict(hidden_size=48, intermediate_size=56, num_hidden_layers=2, num_attention_heads=6)

# class: of transformers, without Config and Model; architecture: of the GGUF file
FAMILIES = {
    "bert": dict(class_="Bert", architecture="bert", top=BERT_TOP, layer=("encoder.layer.", BERT_LAYER),
                 base=dict(SIZES, vocab_size=127, max_position_embeddings=160, type_vocab_size=2)),
}
MODELS = {
    "bert-odd": ("bert", dict(hidden_size=42, num_attention_heads=3, intermediate_size=61, num_hidden_layers=3,
                              type_vocab_size=1, layer_norm_eps=1e-5, vocab_size=131)),
}


def fill(name, model):
    random = random_model.generator(name)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            values = random.standard_normal(parameter.shape)
            if "norm" in key.lower() and key.endswith("weight"):
                values = 1.0 + 0.2 * values
            elif parameter.ndim == 1:
                values = 0.3 * values
            elif "embedding" in key:
                values = 0.7 * values
            else:
                sharp = any(part in key for part in ("query", "key", "Wqkv", ".q.", ".k."))
                values *= (1.7 if sharp else 1.0) / parameter.shape[1] ** 0.5
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def make(name):
    family_name, changes = MODELS.get(name, (name, {}))
    family = FAMILIES[family_name]
    config = getattr(transformers, family["class_"] + "Config")(attn_implementation="eager",
                                                                **{**family["base"], **changes})
    model = getattr(transformers, family["class_"] + "Model")(config).eval().float()
    fill(name, model)
    write_gguf(name, family, config, model)
    random = random_model.generator(name + " tokens")
    sequences = []
    for length in LENGTHS:
        tokens = random.integers(0, config.vocab_size, length).tolist()
        sequences.append((tokens, list(range(length)), hidden(model, config, tokens)))
    golden_file.write_logits(os.path.join(FOLDER, name + ".hidden"), sequences)
    print(f"{name}: hidden states deviate by {sequences[-1][2].std():.2f}")


def hidden(model, config, tokens):
    types = [int(3 * i >= len(tokens)) if len(tokens) > 1 and getattr(config, "type_vocab_size", 1) > 1 else 0
             for i in range(len(tokens))]
    arguments = dict(token_type_ids=torch.tensor([types])) if getattr(config, "type_vocab_size", 0) else {}
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), **arguments).last_hidden_state[0].float().numpy()


def write_gguf(name, family, config, model):
    architecture = family["architecture"]
    writer = gguf.GGUFWriter(os.path.join(FOLDER, name + ".gguf"), architecture)
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    state = model.state_dict()
    prefix, inner = family["layer"]
    pairs = family["top"] + [(f"{prefix}{i}.{a}", f"blk.{i}.{b}") for i in range(config.num_hidden_layers)
                             for a, b in inner]
    for source, target in pairs:
        for kind in ("weight", "bias"):
            if f"{source}.{kind}" in state:
                writer.add_tensor(f"{target}.{kind}", state[f"{source}.{kind}"].numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    torch.set_num_threads(2)
    os.makedirs(FOLDER, exist_ok=True)
    for model_name in sys.argv[1:] or [*FAMILIES, *MODELS]:
        make(model_name)
