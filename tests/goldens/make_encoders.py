"""Writes data/encoders: small random encoders, pooled vectors and score heads, by Hugging Face transformers.
Run: python3 make_encoders.py [NAME ...]

NAME/            the model as a Hugging Face folder
NAME.gguf        the same in the names of GGUF, of families that llama.cpp's format knows
NAME.hidden      hidden states of every position; or
NAME.pooled      the pooled vector, of a sentence-transformers folder; or
NAME.score       what the score head gives; both as if of the last position"""

import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers

import golden_file
import random_model

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "encoders")
# Tokens of the sequences: one alone, less than a page of 64 positions, more than one. All but the first of them have
# two token types where the model has: a third of the tokens the first, the others the second.
LENGTHS = (1, 23, 70)

SIZES = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4)
BERT = dict(SIZES, vocab_size=61, max_position_embeddings=90)
DECODER = dict(SIZES, vocab_size=67, num_key_value_heads=2, max_position_embeddings=128, pad_token_id=None)
LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]
MODERN = dict(BERT, pad_token_id=0, eos_token_id=1, bos_token_id=2, cls_token_id=2, sep_token_id=1,
              num_hidden_layers=4, local_attention=16)
ROBERTA = dict(BERT, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2)
TOKEN = "ForSequenceClassification"
T5 = dict(vocab_size=61, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
          relative_attention_max_distance=20, feed_forward_proj="gated-gelu")

# name: class of transformers without Config, what its config has, the rest
MODELS = {
    "bert": ("Bert", "Model", dict(BERT)),
    "bert-odd": ("Bert", "Model", dict(hidden_size=30, num_attention_heads=3, intermediate_size=35, vocab_size=59,
                                       num_hidden_layers=3, type_vocab_size=1, layer_norm_eps=1e-5,
                                       max_position_embeddings=80, hidden_act="gelu_new")),
    "bert-long": ("Bert", "Model", dict(hidden_size=16, num_attention_heads=2, intermediate_size=24, vocab_size=41,
                                        num_hidden_layers=2, max_position_embeddings=1100), (1030,)),
    "bert-mlm": ("Bert", "ForMaskedLM", dict(BERT, hidden_act="relu")),
    "bert-score": ("Bert", TOKEN, dict(BERT, num_labels=3)),
    "roberta": ("Roberta", "Model", ROBERTA),
    "roberta-padding": ("Roberta", "ForMaskedLM", dict(ROBERTA, pad_token_id=4, type_vocab_size=2)),
    "roberta-score": ("Roberta", TOKEN, dict(ROBERTA, num_labels=1)),
    "xlm-roberta": ("XLMRoberta", "Model", dict(ROBERTA, type_vocab_size=2)),
    "mpnet": ("MPNet", "Model", dict(BERT)),
    "mpnet-score": ("MPNet", TOKEN, dict(BERT, num_labels=2, hidden_act="silu")),
    "distilbert": ("DistilBert", "Model", dict(vocab_size=61, dim=32, n_layers=2, n_heads=4, hidden_dim=40,
                                               max_position_embeddings=90)),
    "distilbert-score": ("DistilBert", TOKEN, dict(vocab_size=61, dim=32, n_layers=2, n_heads=4, hidden_dim=40,
                                                   max_position_embeddings=90, num_labels=2)),
    "modernbert": ("ModernBert", "Model", MODERN),
    "modernbert-biases": ("ModernBert", "Model", dict(
        MODERN, num_hidden_layers=3, layer_types=LAYERS, norm_bias=True, attention_bias=True, mlp_bias=True,
        local_attention=9, hidden_activation="silu", rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 700.0}})),
    "modernbert-score": ("ModernBert", TOKEN, dict(MODERN, num_labels=2, classifier_pooling="mean")),
    "modernbert-score-cls": ("ModernBert", TOKEN, dict(MODERN, num_hidden_layers=2, num_labels=1, norm_bias=True,
                                                       classifier_bias=True, classifier_activation="relu")),
    "nomic_bert": ("NomicBert", "Model", dict(BERT)),
    "nomic_bert-theta": ("NomicBert", "Model", dict(BERT, type_vocab_size=1, rope_parameters={
        "rope_type": "default", "rope_theta": 300.0})),
    "t5": ("T5", "EncoderModel", dict(T5, feed_forward_proj="relu")),
    "t5-gated": ("T5", "EncoderModel", dict(T5, num_heads=3, d_ff=36, num_layers=3, relative_attention_num_buckets=6,
                                            relative_attention_max_distance=9)),
    "umt5": ("UMT5", "EncoderModel", dict(T5, layer_norm_epsilon=1e-4)),
    "llama-score": ("Llama", TOKEN, dict(DECODER, vocab_size=400, num_labels=1)),
    "qwen2-score": ("Qwen2", TOKEN, dict(DECODER, num_labels=3, tie_word_embeddings=False)),
    "gpt2-score": ("GPT2", TOKEN, dict(vocab_size=63, n_positions=128, n_embd=32, n_layer=2, n_head=4, num_labels=2,
                                       pad_token_id=None)),
    "bert-sentence": ("Bert", "Model", dict(BERT), LENGTHS, dict(mean=True, normalize=True)),
    "roberta-sentence": ("Roberta", "Model", dict(ROBERTA), LENGTHS, dict(mean=False, normalize=False)),
}

# Those that have a GGUF file: its architecture, and which names it gives.
BERT_NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "encoder.layer.{}.attention.self.query": "blk.{}.attn_q", "encoder.layer.{}.attention.self.key": "blk.{}.attn_k",
    "encoder.layer.{}.attention.self.value": "blk.{}.attn_v",
    "encoder.layer.{}.attention.output.dense": "blk.{}.attn_output",
    "encoder.layer.{}.attention.output.LayerNorm": "blk.{}.attn_output_norm",
    "encoder.layer.{}.intermediate.dense": "blk.{}.ffn_up", "encoder.layer.{}.output.dense": "blk.{}.ffn_down",
    "encoder.layer.{}.output.LayerNorm": "blk.{}.layer_output_norm"}
NOMIC_NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm", "layers.{}.self_attn.qkv": "blk.{}.attn_qkv",
    "layers.{}.self_attn.o_proj": "blk.{}.attn_output", "layers.{}.mlp.up_proj": "blk.{}.ffn_up",
    "layers.{}.mlp.gate_proj": "blk.{}.ffn_gate", "layers.{}.mlp.down_proj": "blk.{}.ffn_down",
    "layers.{}.post_attention_layernorm": "blk.{}.attn_output_norm",
    "layers.{}.post_mlp_layernorm": "blk.{}.layer_output_norm"}
MODERN_NAMES = {
    "embeddings.tok_embeddings": "token_embd", "embeddings.norm": "token_embd_norm", "final_norm": "output_norm",
    "layers.{}.attn_norm": "blk.{}.attn_norm", "layers.{}.attn.Wqkv": "blk.{}.attn_qkv",
    "layers.{}.attn.Wo": "blk.{}.attn_output", "layers.{}.mlp_norm": "blk.{}.ffn_norm",
    "layers.{}.mlp.Wi": "blk.{}.ffn_up", "layers.{}.mlp.Wo": "blk.{}.ffn_down"}
T5_NAMES = {"shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm",
            "encoder.block.{}.layer.0.layer_norm": "enc.blk.{}.attn_norm",
            "encoder.block.{}.layer.1.layer_norm": "enc.blk.{}.ffn_norm",
            "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias": "enc.blk.{}.attn_rel_b",
            **{f"encoder.block.{{}}.layer.0.SelfAttention.{x}": f"enc.blk.{{}}.attn_{x}" for x in "qkvo"},
            **{f"encoder.block.{{}}.layer.1.DenseReluDense.{x}": f"enc.blk.{{}}.ffn_{to}" for x, to in [
                ("wi", "up"), ("wi_0", "gate"), ("wi_1", "up"), ("wo", "down")]}}
GGUF = {"t5": ("t5encoder", T5_NAMES), "umt5": ("t5encoder", T5_NAMES), "bert": ("bert", BERT_NAMES), "bert-sentence": ("bert", BERT_NAMES), "bert-score": ("bert", {
            **{"bert." + a: b for a, b in BERT_NAMES.items()}, "bert.pooler.dense": "cls", "classifier": "cls.output"}),
        "nomic_bert": ("nomic-bert", NOMIC_NAMES), "modernbert": ("modern-bert", MODERN_NAMES)}


def fill(name, model):
    random = random_model.generator(name)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            values = random.standard_normal(parameter.shape)
            if "norm" in key.lower() and key.endswith("weight") or key.endswith((".ln_1.weight", ".ln_2.weight",
                                                                                 ".ln_f.weight")):
                values = 1.0 + 0.2 * values
            elif parameter.ndim == 1:
                values = 0.3 * values
            elif "embed" in key or ".wte." in key or ".wpe." in key:
                values = 0.7 * values
            else:
                sharp = any(part in key for part in ("query", "key", "Wqkv", ".q.", ".k.", "q_lin", "k_lin", "q_proj",
                                                     "k_proj", "c_attn"))
                sharper = 0.9 if "SelfAttention" in key else 1.7  # T5 doesn't divide its scores
                values *= (sharper if sharp else 1.0) / parameter.shape[1] ** 0.5
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def write_sentence_files(path, mean, normalize):
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalize else [])
    with open(os.path.join(path, "modules.json"), "w") as file:
        json.dump([dict(idx=i, name=str(i), path=folder, type="sentence_transformers.models." + kind)
                   for i, (folder, kind) in enumerate(modules)], file, indent=1)
    os.makedirs(os.path.join(path, "1_Pooling"))
    with open(os.path.join(path, "1_Pooling", "config.json"), "w") as file:
        json.dump({"word_embedding_dimension": 32, "pooling_mode_cls_token": not mean,
                   "pooling_mode_mean_tokens": mean, "pooling_mode_max_tokens": False}, file, indent=1)


def run(model, config, tokens, class_):
    types = [int(3 * i >= len(tokens)) if len(tokens) > 1 and getattr(config, "type_vocab_size", 1) > 1 else 0
             for i in range(len(tokens))]
    arguments = dict(token_type_ids=torch.tensor([types])) if getattr(config, "type_vocab_size", 0) else {}
    with torch.no_grad():
        if class_ == TOKEN:
            return model(input_ids=torch.tensor([tokens]), **arguments).logits.float().numpy()
        base = model if class_.endswith("Model") else model.base_model
        return base(input_ids=torch.tensor([tokens]), **arguments).last_hidden_state[0].float().numpy()


def make(name):
    family, class_, changes, *rest = MODELS[name]
    lengths, sentence = (*rest, LENGTHS, None)[:2] if not rest else (*rest, None)[:2]
    config = getattr(transformers, family + "Config")(attn_implementation="eager", **changes)
    model = getattr(transformers, family + class_)(config).eval().float()
    fill(name, model)
    path = os.path.join(FOLDER, name)
    shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(path)
    if sentence:
        write_sentence_files(path, **sentence)
    if name in GGUF:
        write_gguf(name, config, model, sentence)
    random = random_model.generator(name + " tokens")
    sequences, padding = [], getattr(config, "pad_token_id", None)
    for length in lengths:
        tokens = [t for t in random.integers(0, config.vocab_size, 2 * length + 8).tolist() if t != padding][:length]
        rows = run(model, config, tokens, class_)
        if sentence:
            rows = rows.mean(axis=0, keepdims=True) if sentence["mean"] else rows[:1]
            rows = rows / np.linalg.norm(rows) if sentence["normalize"] else rows
        sequences.append((tokens, list(range(length)) if len(rows) == length > 1 else [length - 1], rows))
    kind = "score" if class_ == TOKEN else "pooled" if sentence else "hidden"
    golden_file.write_logits(os.path.join(FOLDER, f"{name}.{kind}"), sequences)
    print(f"{name}: values deviate by {sequences[-1][2].std():.2f}")


def write_gguf(name, config, model, sentence):
    architecture, names = GGUF[name]
    writer = gguf.GGUFWriter(os.path.join(FOLDER, name + ".gguf"), architecture)
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(getattr(config, "max_position_embeddings", 512))
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.d_ff if architecture == "t5encoder" else config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "t5encoder":
        writer.add_key_length(config.d_kv)
        writer.add_value_length(config.d_kv)
        writer.add_layer_norm_rms_eps(config.layer_norm_epsilon)
        writer.add_relative_attn_buckets_count(config.relative_attention_num_buckets)
        writer.add_uint32("t5encoder.attention.relative_max_distance", config.relative_attention_max_distance)
    else:
        writer.add_layer_norm_eps(config.norm_eps if architecture == "modern-bert" else config.layer_norm_eps)
        writer.add_causal_attention(False)
    if sentence:
        writer.add_pooling_type(gguf.PoolingType.MEAN)
        writer.add_bool(f"{architecture}.pooling_normalize", True)
    elif name.endswith("-score"):
        writer.add_pooling_type(gguf.PoolingType.RANK)
    if architecture == "modern-bert":
        writer.add_sliding_window(config.local_attention)
        writer.add_sliding_window_pattern(3)
        writer.add_rope_freq_base(160000.0)
        writer.add_rope_freq_base_swa(10000.0)
    if architecture == "nomic-bert":
        writer.add_rope_freq_base(1000.0)
    state = dict(model.state_dict())
    for i in range(config.num_hidden_layers):
        parts = [state.get(f"layers.{i}.self_attn.{x}_proj.weight") for x in "qkv"]
        if parts[0] is not None:
            state[f"layers.{i}.self_attn.qkv.weight"] = torch.cat(parts)
    for source, target in names.items():
        for i in range(config.num_hidden_layers if "{}" in source else 1):
            for kind in ("weight", "bias"):
                tensor = state.get(f"{source.format(i)}.{kind}")
                if tensor is not None:
                    writer.add_tensor(f"{target.format(i)}.{kind}", tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.makedirs(FOLDER, exist_ok=True)
    for model_name in sys.argv[1:] or MODELS:
        make(model_name)
