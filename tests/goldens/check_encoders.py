"""Random configs of encoders and score heads, random weights: what Hugging Face transformers computes for them against what
the library's example `logits` prints for the folder. Prints what differs, and what was refused.
Run: python3 check_encoders.py LOGITS_PROGRAM [--count N] [--seed S] [FAMILY ...]"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import warnings

import numpy as np
import torch
import transformers

import make_encoders

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore")
TOLERANCE = 2e-3
ACTS = ["gelu", "relu", "silu", "gelu_new"]


def bert(r, **more):
    n, dim = r.choice([1, 2, 3, 4]), r.choice([4, 6, 8, 12])
    return dict(vocab_size=r.choice([61, 90]), hidden_size=n * dim, num_attention_heads=n,
                intermediate_size=r.choice([20, 33, 48]), num_hidden_layers=r.choice([1, 2, 3]),
                max_position_embeddings=r.choice([120, 160]), type_vocab_size=r.choice([1, 2, 3]), hidden_act=r.choice(ACTS),
                layer_norm_eps=r.choice([1e-12, 1e-5]), num_labels=r.choice([1, 2, 5]), **more)


def roberta(r):
    return bert(r, pad_token_id=r.choice([0, 1, 3]), bos_token_id=0, eos_token_id=2)


def mpnet(r):
    config = bert(r, pad_token_id=1)
    del config["type_vocab_size"]
    return config


def distilbert(r):
    c = bert(r)
    return dict(vocab_size=c["vocab_size"], dim=c["hidden_size"], n_heads=c["num_attention_heads"],
                hidden_dim=c["intermediate_size"], n_layers=c["num_hidden_layers"], activation=r.choice(ACTS),
                max_position_embeddings=120, num_labels=c["num_labels"], sinusoidal_pos_embds=r.random() < 0.3)


def modernbert(r):
    c = bert(r, pad_token_id=0, eos_token_id=1, bos_token_id=2, cls_token_id=2, sep_token_id=1)
    for key in ("hidden_act", "layer_norm_eps", "type_vocab_size"):
        del c[key]
    c["num_hidden_layers"] = r.choice([1, 2, 4, 5])
    c.update(hidden_activation=r.choice(ACTS), norm_eps=r.choice([1e-5, 1e-6]), norm_bias=r.random() < 0.5,
             attention_bias=r.random() < 0.5, mlp_bias=r.random() < 0.5, classifier_bias=r.random() < 0.5,
             classifier_activation=r.choice(ACTS + ["tanh"]), classifier_pooling=r.choice(["cls", "mean"]),
             local_attention=r.choice([2, 7, 16, 64]))
    if r.random() < 0.5:
        c["layer_types"] = [r.choice(["sliding_attention", "full_attention"]) for _ in range(c["num_hidden_layers"])]
        c["layer_types"][0] = "full_attention"
        c["layer_types"][-1] = "sliding_attention" if len(c["layer_types"]) > 1 else "full_attention"
    elif r.random() < 0.5:
        c["global_attn_every_n_layers"] = r.choice([1, 2, 3])
    return c


def nomic_bert(r):
    c = bert(r)
    c.update(rope_parameters={"rope_type": "default", "rope_theta": r.choice([300.0, 1000.0, 10000.0])},
             hidden_act=r.choice(["silu", "gelu"]))
    if r.random() < 0.3:
        c["head_dim"] = r.choice([4, 8, 16])
    return c


def decoder(r):
    n_kv, dim = r.choice([1, 2]), r.choice([4, 8])
    n = n_kv * r.choice([1, 3])
    return dict(vocab_size=70, hidden_size=n * dim, num_attention_heads=n, num_key_value_heads=n_kv, intermediate_size=24,
                num_hidden_layers=2, num_labels=r.choice([1, 3]), pad_token_id=None, max_position_embeddings=160,
                tie_word_embeddings=r.random() < 0.5)


def gpt2(r):
    return dict(vocab_size=70, n_embd=24, n_head=r.choice([1, 3]), n_layer=2, n_positions=160, num_labels=r.choice([1, 3]),
                pad_token_id=None, bos_token_id=0, eos_token_id=1)


SCORE = make_encoders.TOKEN
FAMILIES = {"bert": ("Bert", bert, ["Model", "ForMaskedLM", SCORE]),
            "roberta": ("Roberta", roberta, ["Model", "ForMaskedLM", SCORE]),
            "xlm_roberta": ("XLMRoberta", roberta, ["Model", "ForMaskedLM", SCORE]),
            "camembert": ("Camembert", roberta, ["Model", SCORE]),
            "mpnet": ("MPNet", mpnet, ["Model", "ForMaskedLM", SCORE]),
            "distilbert": ("DistilBert", distilbert, ["Model", "ForMaskedLM", SCORE]),
            "modernbert": ("ModernBert", modernbert, ["Model", "ForMaskedLM", SCORE]),
            "nomic_bert": ("NomicBert", nomic_bert, ["Model", "ForMaskedLM", SCORE]),
            "llama": ("Llama", decoder, [SCORE]), "qwen2": ("Qwen2", decoder, [SCORE]), "qwen3": ("Qwen3", decoder, [SCORE]),
            "mistral": ("Mistral", decoder, [SCORE]), "gpt2": ("GPT2", gpt2, [SCORE])}


def check(program, family, index, seed, folder):
    class_name, make_config, classes = FAMILIES[family]
    r = random.Random(f"{family} {index} {seed}")
    class_ = r.choice(classes)
    config = getattr(transformers, class_name + "Config")(attn_implementation="eager", **make_config(r))
    model = getattr(transformers, class_name + class_)(config).eval().float()
    make_encoders.fill(f"{family} {index} {seed}", model)
    path = os.path.join(folder, f"{family}-{index}")
    model.save_pretrained(path)
    length, padding = r.choice([1, 5, 66, 110]), getattr(config, "pad_token_id", None)
    tokens = [t for t in (r.randrange(config.vocab_size) for _ in range(3 * length + 9)) if t != padding][:length]
    with torch.no_grad():
        ids = torch.tensor([tokens])
        if class_ == SCORE:
            expected = model(input_ids=ids).logits[0].numpy()
        else:
            expected = (model if class_ == "Model" else model.base_model)(input_ids=ids).last_hidden_state[0].numpy()
    said = subprocess.run([program, "--model", path, "--tokens", ",".join(map(str, tokens)), "--all", "--threads", "1"],
                          capture_output=True, text=True)
    if said.returncode:
        print(f"{family} {index} {class_}: {said.stderr.strip()}")
        return False
    values = next(iter(json.loads(said.stdout).values()))
    error = abs(np.array(values).reshape(-1) - expected.reshape(-1)).max()
    if not error <= TOLERANCE:
        print(f"{family} {index} {class_}: differs by {error:.2g}: {config.to_diff_dict()}")
    return error <= TOLERANCE


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("--count", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("families", nargs="*")
    said = arguments.parse_args()
    torch.set_num_threads(1)
    for family in said.families or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            good = sum(check(said.program, family, i, said.seed, folder) for i in range(said.count))
        print(f"{family}: {good} of {said.count} agree", flush=True)


if __name__ == "__main__":
    main()
