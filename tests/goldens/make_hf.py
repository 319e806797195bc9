"""Writes data/hf: some of the models of data/small as Hugging Face folders, their config.json by transformers' own config
classes. The logits are those of data/small. Run, after make_small.py: python3 make_hf.py [NAME ...]"""

import json
import os
import shutil
import sys

import gguf
import numpy as np
import transformers
from safetensors.numpy import save_file

import gguf_model
import small_models

HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = {"llama": transformers.LlamaConfig, "mistral": transformers.MistralConfig,
           "qwen2": transformers.Qwen2Config, "gemma3": transformers.Gemma3TextConfig}


def old_style(config):
    """As releases before 5.0 wrote rope: rope_theta beside rope_scaling."""
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope


# name: parts, dtype of the matrices, what is done to the config
MODELS = {
    "llama-mqa-biases": (1, "<f4", None),
    "llama-tiny-heads": (3, "<f8", None),
    "llama-rope-llama3": (1, "<f4", None),
    "llama-rope-yarn": (1, "<f4", None),
    "llama-window": (1, "<f4", None),
    "qwen2-gqa-tied": (2, "<f4", None),
    "qwen2-rope-yarn": (1, "<f4", old_style),
    "gemma3-rope-linear": (1, "<f4", old_style),
    "gemma3-mha-untied": (2, "<f4", None),
    "gemma3-no-window": (1, "<f4", None),
    "gemma3-62-layers": (1, "<f2", None),
}


def read_values(path):
    tensors = {}
    for tensor in gguf.GGUFReader(path).tensors:
        tensors[tensor.name] = np.array(tensor.data).reshape([int(n) for n in reversed(tensor.shape)])
    return tensors


def write_parts(folder, tensors, n_parts):
    names = sorted(tensors)
    if n_parts == 1:
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return
    weight_map = {}
    for part in range(n_parts):
        file = f"model-{part + 1:05d}-of-{n_parts:05d}.safetensors"
        own = {name: tensors[name] for name in names[part::n_parts]}
        save_file(own, os.path.join(folder, file), metadata={"format": "pt"})
        weight_map.update({name: file for name in own})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as to:
        json.dump({"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": weight_map}, to,
                  indent=1)


def make(name):
    n_parts, dtype, change = MODELS[name]
    family = name.split("-")[0]
    changes, options, _ = small_models.MODELS[name]
    config = CLASSES[options.get("class", family)](**{**small_models.BASE[family], **changes})
    members = json.loads(config.to_json_string())
    if change:
        change(members)
    values = read_values(os.path.join(HERE, "data", "small", name + ".gguf"))
    heads = config
    if getattr(heads, "head_dim", None) is None:
        heads.head_dim = config.hidden_size // config.num_attention_heads
    tensors = {}
    for source, target in gguf_model.tensor_names(family, config.num_hidden_layers):
        if target in values:
            own = gguf_model.from_gguf_values(family, heads, target, values[target])
            tensors[source] = np.ascontiguousarray(own.astype(dtype if own.ndim == 2 else "<f4"))
    folder = os.path.join(HERE, "data", "hf", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_parts(folder, tensors, n_parts)
    with open(os.path.join(folder, "config.json"), "w") as to:
        json.dump(members, to, indent=1)
        to.write("\n")


if __name__ == "__main__":
    for model_name in sys.argv[1:] or MODELS:
        make(model_name)
