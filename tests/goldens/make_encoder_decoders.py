"""Writes data/encoder_decoders: small random encoder-decoders as GGUF files and as Hugging Face folders, and for each
the logits of every position, and what generate makes greedily and with four beams.
Run: python3 make_encoder_decoders.py [NAME ...]"""

import json
import os
import shutil
import struct
import sys

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

import golden_file
import marian_vocabularies
import random_model

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "encoder_decoders")
CASES = ((5, 12), (70, 66))  # tokens of source and target: one of these crosses a page of 64
N_GREEDY, N_BEAMS, N_BEAM = 16, 4, 14

SIZES = dict(d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
             encoder_ffn_dim=24, decoder_ffn_dim=24, vocab_size=61, max_position_embeddings=96)
T5_SIZES = dict(d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, vocab_size=61, decoder_start_token_id=0)

# name: class, config, what generate is told besides. A name begins with the architecture's.
MODELS = {
    "marian": ("Marian", dict(SIZES, pad_token_id=60, decoder_start_token_id=60, activation_function="swish",
                              scale_embedding=True), dict(bad_words_ids=[[60]])),
    "marian-separate": ("Marian", dict(
        SIZES, pad_token_id=60, decoder_start_token_id=60, share_encoder_decoder_embeddings=False, decoder_vocab_size=67,
        tie_word_embeddings=False, encoder_layers=1, decoder_layers=3, encoder_ffn_dim=40, decoder_attention_heads=1),
        {}),
    # with the files of two vocabularies, and texts.json: what is made of lines of text
    "marian-vocabularies": ("Marian", dict(SIZES, share_encoder_decoder_embeddings=False, tie_word_embeddings=False,
                                           decoder_layers=1, scale_embedding=True), {}),
    "m2m_100": ("M2M100", dict(SIZES), dict(forced_bos_token_id=9)),
    "m2m_100-layers-differ": ("M2M100", dict(SIZES, encoder_layers=3, decoder_layers=1, scale_embedding=False,
                                             activation_function="gelu", encoder_attention_heads=1), {}),
    "bart": ("Bart", dict(SIZES), dict(length_penalty=2.0, min_length=6, forced_bos_token_id=0)),
    "marian-untied": ("Marian", dict(SIZES, pad_token_id=60, decoder_start_token_id=60, tie_word_embeddings=False), {}),
    "bart-scale": ("Bart", dict(SIZES, scale_embedding=True, activation_function="relu", decoder_ffn_dim=40,
                                tie_word_embeddings=False), dict(early_stopping=True)),
    "mbart": ("MBart", dict(SIZES, decoder_start_token_id=2, scale_embedding=True), dict(forced_bos_token_id=11)),
    "mbart-silu": ("MBart", dict(SIZES, decoder_start_token_id=7, activation_function="silu", encoder_layers=1), {}),
    "t5": ("T5", dict(T5_SIZES), {}),
    "t5-1.1": ("T5", dict(T5_SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_layers=3, num_decoder_layers=2,
                          d_kv=8, num_heads=3, relative_attention_num_buckets=12,
                          relative_attention_max_distance=20), dict(length_penalty=0.6)),
    "t5-silu": ("T5", dict(T5_SIZES, feed_forward_proj="gated-silu", relative_attention_num_buckets=18,
                           relative_attention_max_distance=40), {}),
    "umt5": ("UMT5", dict(T5_SIZES), {}),
    "umt5-relu": ("UMT5", dict(T5_SIZES, feed_forward_proj="relu", num_decoder_layers=1,
                               relative_attention_num_buckets=8, relative_attention_max_distance=16), {}),
}
CLASSES = {"Marian": "MarianMTModel"}
SHARP = ("q_proj.weight", "k_proj.weight", "Attention.q.weight", "Attention.k.weight")


def fill(name, model):
    """Random values for every parameter, under which attention is neither uniform nor one-hot and the logits are a few
    units wide."""
    random = random_model.generator(name)
    t5 = model.config.model_type in ("t5", "umt5")
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "embed_positions" in key and model.config.model_type in ("marian", "m2m_100"):
                continue
            values = random.standard_normal(parameter.shape)
            if "norm" in key and key.endswith("weight"):
                values = 1.0 + 0.2 * values
            elif parameter.ndim == 1:
                values = 0.3 * values
            elif "relative_attention_bias" in key:
                values = 1.2 * values
            elif "shared" in key or "embed" in key:
                values = values if t5 else 0.5 * values
            elif key.endswith(("out_proj.weight", "fc2.weight", "Attention.o.weight", "wo.weight")):
                values = 2.5 * values / parameter.shape[1] ** 0.5 # so that what is read outweighs the token itself
            else:
                gain = 0.6 if t5 and "Attention" in key and key.endswith(SHARP) else 1.6 if key.endswith(SHARP) else 1.0
                values = gain * values / parameter.shape[1] ** 0.5
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
        if hasattr(model, "final_logits_bias"):
            bias = 0.5 * random.standard_normal(model.final_logits_bias.shape)
            model.final_logits_bias.copy_(torch.from_numpy(bias.astype(np.float32)))


# ---- names ----

T5_LAYER = {"attn_norm": "layer.0.layer_norm", "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
            **{f"attn_{x}": f"layer.0.SelfAttention.{x}" for x in "qkvo"},
            "cross_attn_norm": "layer.1.layer_norm", **{f"cross_attn_{x}": f"layer.1.EncDecAttention.{x}" for x in "qkvo"}}
T5_FFN = {"ffn_norm": "layer_norm", "ffn_gate": "DenseReluDense.wi_0", "ffn_up": "DenseReluDense.wi_1",
          "ffn_down": "DenseReluDense.wo"}


def t5_names(config):
    yield "shared", "token_embd"
    if not config.tie_word_embeddings:
        yield "lm_head", "output"
    for side, short, n in (("encoder", "enc", config.num_layers), ("decoder", "dec", config.num_decoder_layers)):
        yield f"{side}.final_layer_norm", f"{short}.output_norm"
        for i in range(n):
            layer = {**T5_LAYER, **{to: f"layer.{2 if short == 'dec' else 1}.{of}" for to, of in T5_FFN.items()}}
            if not config.is_gated_act:
                layer["ffn_up"] = layer["ffn_up"].replace("wi_1", "wi")
            for to, of in layer.items():
                if short == "dec" or not to.startswith("cross"):
                    yield f"{side}.block.{i}.{of}", f"{short}.blk.{i}.{to}"


def bart_names(config):
    # Then nobody uses what is shared.
    separate = not (config.tie_word_embeddings and getattr(config, "share_encoder_decoder_embeddings", True))
    post = config.model_type in ("bart", "marian")
    norms = {"self_attn_layer_norm": "attn_output_norm" if post else "attn_norm",
             "encoder_attn_layer_norm": "cross_attn_output_norm" if post else "cross_attn_norm",
             "final_layer_norm": "layer_output_norm" if post else "ffn_norm"}
    projections = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "o"}
    layer = {**{f"self_attn.{of}": f"attn_{to}" for of, to in projections.items()},
             **{f"encoder_attn.{of}": f"cross_attn_{to}" for of, to in projections.items()},
             "fc1": "ffn_up", "fc2": "ffn_down", **norms}
    yield "model.decoder.embed_tokens" if separate else "model.shared", "token_embd"
    yield "lm_head", "output"
    if separate:
        yield "model.encoder.embed_tokens", "enc.token_embd"
    for side, short in (("encoder", "enc"), ("decoder", "dec")):
        yield f"model.{side}.embed_positions", f"{short}.position_embd"
        yield f"model.{side}.layernorm_embedding", f"{short}.token_embd_norm"
        yield f"model.{side}.layer_norm", f"{short}.output_norm"
        for i in range(getattr(config, f"{side}_layers")):
            for of, to in layer.items():
                yield f"model.{side}.layers.{i}.{of}", f"{short}.blk.{i}.{to}"


def metadata(config, separate_head):
    if config.model_type in ("t5", "umt5"):
        keys = {"context_length": 512, "embedding_length": config.d_model, "feed_forward_length": config.d_ff,
                "block_count": config.num_layers, "decoder_block_count": config.num_decoder_layers,
                "attention.head_count": config.num_heads, "attention.key_length": config.d_kv,
                "attention.value_length": config.d_kv, "attention.layer_norm_epsilon": config.layer_norm_epsilon,
                "attention.relative_buckets_count": config.relative_attention_num_buckets,
                "attention.layer_norm_rms_epsilon": config.layer_norm_epsilon, "decoder_start_token_id": 0}
        if config.relative_attention_max_distance != 128:  # these are names of our own
            keys["attention.relative_max_distance"] = config.relative_attention_max_distance
        if config.dense_act_fn not in ("relu", "gelu_new"):
            keys["activation"] = config.dense_act_fn
        if not getattr(config, "scale_decoder_outputs", True) and not separate_head:
            keys["logit_scale"] = 1.0
        return keys
    return {"context_length": config.max_position_embeddings, "embedding_length": config.d_model,
            "block_count": config.encoder_layers, "decoder_block_count": config.decoder_layers,
            "feed_forward_length": config.encoder_ffn_dim, "decoder.feed_forward_length": config.decoder_ffn_dim,
            "attention.head_count": config.encoder_attention_heads,
            "decoder.attention.head_count": config.decoder_attention_heads, "attention.layer_norm_epsilon": 1e-5,
            "activation": {"swish": "silu"}.get(config.activation_function, config.activation_function), "decoder_start_token_id": config.decoder_start_token_id,
            "embedding_scale": config.d_model ** 0.5 if config.scale_embedding else 1.0,
            "position_offset": 0 if config.model_type == "marian" else 2}


def write_gguf(name, config, state):
    t5 = config.model_type in ("t5", "umt5")
    architecture = "t5" if t5 else config.model_type
    writer = gguf.GGUFWriter(os.path.join(FOLDER, name + ".gguf"), architecture)
    writer.add_name(name)
    for suffix, value in metadata(config, "lm_head.weight" in state).items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{architecture}.{suffix}", value)
    left = set(state) - ({"model.shared.weight"} if "model.encoder.embed_tokens.weight" in state else set())
    for of, to in (t5_names if t5 else bart_names)(config):
        for end in ("weight", "bias"):
            if f"{of}.{end}" in state:
                writer.add_tensor(f"{to}.{end}", state[f"{of}.{end}"])
                left.discard(f"{of}.{end}")
    if "final_logits_bias" in state:
        writer.add_tensor("output.bias", state["final_logits_bias"][0])
        left.discard("final_logits_bias")
    assert not left, left
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(name, config, state):
    folder = os.path.join(FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    members = json.loads(config.to_json_string())
    with open(os.path.join(folder, "config.json"), "w") as to:
        json.dump(members, to, indent=1)
        to.write("\n")
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    return folder


# ---- what they compute ----

def logits(model, source, tokens):
    with torch.no_grad():
        return model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([tokens])).logits[0].numpy()


def generate(model, source, options, **how):
    with torch.no_grad():
        ids = model.generate(torch.tensor([source]), attention_mask=torch.ones(1, len(source)), do_sample=False,
                             **{**options, **how})
    return ids[0].tolist()


def position_tables(model, config, state):
    """Tables that the class computes and does not save; GGUF files have them."""
    state = dict(state)
    if config.model_type in ("marian", "m2m_100"):
        for side in ("encoder", "decoder"):
            embedding = getattr(model.model, side).embed_positions
            weights = embedding.weight if hasattr(embedding, "weight") else embedding.weights
            state[f"model.{side}.embed_positions.weight"] = weights.detach().numpy().copy()
    return state


def write_texts(folder, files, model, options):
    """texts.json: lines, their ids, what generate makes of them."""
    tokenizer, lines = marian_vocabularies.write(folder, files), []
    for line in marian_vocabularies.TEXTS:
        ids = tokenizer(line)["input_ids"]
        greedy = generate(model, ids, options, num_beams=1, max_new_tokens=N_GREEDY)
        beam = generate(model, ids, options, num_beams=N_BEAMS, max_new_tokens=N_BEAM)
        lines.append({"text": line, "ids": ids, "greedy": marian_vocabularies.text(tokenizer, files, greedy),
                      "beam": marian_vocabularies.text(tokenizer, files, beam)})
        print(lines[-1])
    with open(os.path.join(folder, "texts.json"), "w") as to:
        json.dump(lines, to, indent=1, ensure_ascii=False)
        to.write("\n")


def make(name):
    kind, changes, options = MODELS[name]
    files = None
    if name == "marian-vocabularies":
        files, sizes = marian_vocabularies.make()
        changes = {**changes, **sizes}
    config = getattr(transformers, kind + "Config")(**changes)
    class_ = getattr(transformers, CLASSES.get(kind, kind + "ForConditionalGeneration"))
    model = class_(config).eval().float()
    fill(name, model)
    keys = set(dict(model.named_parameters())) | {"final_logits_bias"}
    saved = {key: np.ascontiguousarray(value.numpy()) for key, value in model.state_dict().items()
             if key in keys and not (key.endswith("embed_positions.weight") and kind in ("Marian", "M2M100"))}
    folder = write_folder(name, config, saved)
    write_gguf(name, config, position_tables(model, config, saved))
    again = class_.from_pretrained(folder, torch_dtype=torch.float32).eval()

    if files:
        write_texts(folder, files, again, options)
    random = random_model.generator(name + " tokens")
    n_source, n_vocab = config.vocab_size, getattr(config, "decoder_vocab_size", None) or config.vocab_size
    start = getattr(config, "decoder_start_token_id", 0)
    with open(os.path.join(FOLDER, name + ".sources"), "wb") as file:
        file.write(b"SOURCES\n" + struct.pack("<i", len(CASES)))
        for source_length, length in CASES:
            source = random.integers(3, n_source, source_length).tolist()
            tokens = [start] + random.integers(3, n_vocab, length - 1).tolist()
            rows = logits(model, source, tokens)
            assert abs(rows - logits(again, source, tokens)).max() < 1e-5
            greedy = generate(model, source, options, num_beams=1, max_new_tokens=N_GREEDY)
            beam = generate(model, source, options, num_beams=N_BEAMS, max_new_tokens=N_BEAM)
            file.write(struct.pack("<iiiii", len(source), len(tokens), n_vocab, len(greedy), len(beam)))
            for ids in (source, tokens, greedy, beam):
                file.write(golden_file._i32(ids))
            file.write(golden_file._f32(rows))
            print(f"{name}: logits deviate by {rows.std():.2f}, greedy {greedy}, beam {beam}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    transformers.utils.logging.set_verbosity_error()
    os.makedirs(FOLDER, exist_ok=True)
    for model_name in sys.argv[1:] or MODELS:
        make(model_name)
