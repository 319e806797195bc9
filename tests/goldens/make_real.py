"""Writes data/real from the real models' GGUF files: their weights dequantized into Hugging Face models in f32.
Run: python3 make_real.py MODELS_FOLDER WIKI_TEXT [NAME ...], the folder holding smollm2.gguf and gemma3-270m.gguf."""

import os
import sys

import gguf
import numpy as np
import torch

import golden_file
import gguf_model
import random_model
import reference_tokenizer

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "real")
N_TOP, N_GREEDY, N_CHUNKS, CHUNK, N_LIKELIEST = 10, 32, 8, 512, 1024

TEXTS = ("The capital of France is",
         "1, 2, 3, 5, 8, 13, 21,",
         "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n    if n < 2:\n        return n\n",
         "Die Donau ist ein Fluss in Europa. Sie entspringt im Schwarzwald und mündet",
         "Once upon a time, in a small village by the sea, there lived an old fisherman who had a strange secret. "
         "Every night, when the moon was high and the others were asleep, he")
CHATS = {"smollm2": "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n",
         "gemma3-270m": "Question: What is gravity?\nAnswer:"}
# (first, number) of the text's tokens; Gemma's local layers see 512 of its 700.
SLICES = {"smollm2": ((1000, 150), (2000, 300)), "gemma3-270m": ((1000, 150), (2000, 700))}


def hf_config(reader, name):
    def read(key, default=None):
        field = reader.fields.get(f"{family}.{key}")
        return default if field is None else field.contents()

    family = reader.fields["general.architecture"].contents()
    theta, eps = read("rope.freq_base"), read("attention.layer_norm_rms_epsilon")
    config = dict(vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data), hidden_size=read("embedding_length"),
                  intermediate_size=read("feed_forward_length"), num_hidden_layers=read("block_count"),
                  num_attention_heads=read("attention.head_count"), num_key_value_heads=read("attention.head_count_kv"),
                  max_position_embeddings=read("context_length"), rms_norm_eps=eps, tie_word_embeddings=True)
    if family == "gemma3":
        config.update(head_dim=read("attention.key_length"), query_pre_attn_scalar=read("attention.key_length"),
                      sliding_window=read("attention.sliding_window"), rope_parameters={
                          "full_attention": {"rope_type": "default", "rope_theta": theta},
                          "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})
    else:
        config.update(rope_parameters={"rope_type": "default", "rope_theta": theta})
    return family, config


def load(reader, name):
    family, config = hf_config(reader, name)
    config_class, model_class = random_model.FAMILIES[family]
    model = model_class(config_class(attn_implementation="eager", **config)).eval().float()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    state, used = model.state_dict(), set()
    with torch.no_grad():
        for source, target in gguf_model.tensor_names(family, config["num_hidden_layers"]):
            if target not in tensors:
                continue
            values = gguf.quants.dequantize(tensors[target].data, tensors[target].tensor_type)
            values = gguf_model.from_gguf_values(family, model.config, target, values)
            state[source].copy_(torch.from_numpy(np.array(values, dtype=np.float32)).reshape(state[source].shape))
            used.add(target)
    assert used == set(tensors), set(tensors) - used
    return model


def rows(model, tokens, n_last):
    """Logits of the last positions [n_last][n_vocab]."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), use_cache=False, logits_to_keep=n_last).logits[0]


def run_prompt(model, prompt):
    tokens, cache, fed = list(prompt), None, list(prompt)
    with torch.no_grad():
        for _ in range(N_GREEDY):
            out = model(input_ids=torch.tensor([fed]), past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, fed = out.past_key_values, [int(out.logits[0, -1].argmax())]
            tokens += fed
    # The recorded numbers are of one pass without a cache.
    logits = rows(model, tokens[:-1], N_GREEDY)
    top = torch.topk(logits, 2)
    greedy = tokens[len(prompt):]
    gaps = (top.values[:, 0] - top.values[:, 1]).numpy()
    for token, highest, gap in zip(greedy, top.indices[:, 0].tolist(), gaps):
        assert token == highest or gap < 1e-3, "the cached pass chose another token"
    first = torch.topk(logits[0], N_TOP)
    return prompt, first.indices.numpy(), first.values.numpy(), greedy, gaps


def chunk_nll(model, tokens):
    logits = rows(model, tokens, CHUNK - 255)[:-1]  # after positions 255 to 510
    targets = torch.tensor(tokens[256:])
    return float(torch.nn.functional.cross_entropy(logits.double(), targets))


def write_perplexity(path, model, tokens, bos):
    nll = []
    with open(path, "w") as file:
        for i in range(N_CHUNKS):
            chunk = tokens[i * CHUNK:(i + 1) * CHUNK]
            if bos is not None:
                chunk = [bos] + chunk[1:]
            nll.append(chunk_nll(model, chunk))
            file.write(f"chunk {i} {nll[-1]:.9f}\n")
    print(f"{os.path.basename(path)}: perplexity {np.exp(np.mean(nll)):.4f}", flush=True)


def write_likeliest(path, model, chunk):
    positions = list(range(256, CHUNK, 4))
    log_probabilities = torch.log_softmax(rows(model, chunk, CHUNK - 256)[::4].double(), -1)
    top = torch.topk(log_probabilities, N_LIKELIEST)
    golden_file.write_distributions(path, chunk, positions, top.indices.numpy(), top.values.numpy())
    print(f"{os.path.basename(path)}: the {N_LIKELIEST} likeliest tokens have {float(top.values.exp().sum(-1).mean()):.4f} of the mass")


def make(name, models, text):
    reader = gguf.GGUFReader(os.path.join(models, name + ".gguf"))
    encode = reference_tokenizer.read(reader)
    with open(text, encoding="utf-8", newline="") as file:
        wiki = encode(file.read(40000))[:N_CHUNKS * CHUNK]
    assert len(wiki) == N_CHUNKS * CHUNK
    begin = []
    if reader.fields["tokenizer.ggml.add_bos_token"].contents():
        begin = [reader.fields["tokenizer.ggml.bos_token_id"].contents()]
    path = os.path.join(FOLDER, name)
    golden_file.write_tokens(path + ".tokens", wiki)
    model = load(reader, name)
    prompts = [begin + encode(text) for text in (*TEXTS, CHATS[name])]
    prompts += [begin + wiki[first:first + n] for first, n in SLICES[name]]
    results = []
    for prompt in prompts:
        results.append(run_prompt(model, prompt))
        print(f"{name}: {len(prompt)} tokens, top {results[-1][1][:3]}, smallest gap {results[-1][4].min():.4f}", flush=True)
    golden_file.write_prompts(path + ".prompts", results)
    write_perplexity(path + ".perplexity", model, wiki, None)
    chunk = wiki[:CHUNK]
    if begin:
        write_perplexity(path + ".bos-perplexity", model, wiki, begin[0])
        chunk = begin + chunk[1:]
    write_likeliest(path + ".distributions", model, chunk)


if __name__ == "__main__":
    torch.set_num_threads(2)
    os.makedirs(FOLDER, exist_ok=True)
    for model_name in sys.argv[3:] or ("smollm2", "gemma3-270m"):
        make(model_name, sys.argv[1], sys.argv[2])
