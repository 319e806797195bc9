"""Writes data/adapters: random LoRA adapters by PEFT for models of data/hf, data/folders and data/families, one of them as a
GGUF file too, and logits of the adapted models. Run, after make_hf.py, make_folders.py and make_families.py:
python3 make_adapters.py [NAME ...]"""

import os
import shutil
import sys

import gguf
import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import load_file

import golden_file
import make_families
import random_model

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NEOX = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
# name: base in data, LoraConfig. Those from phi3 on have layers that are several of the library's weights
ADAPTERS = {
    "llama-all": ("hf/llama-rope-llama3", dict(r=4, lora_alpha=6, target_modules=ALL + ["lm_head"])),
    "llama-rslora": ("hf/llama-rope-llama3", dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "down_proj"],
                                               rank_pattern={"down_proj": 5})),
    "qwen2-attention": ("hf/qwen2-gqa-tied", dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])),
    "phi3": ("families/phi3", dict(r=4, lora_alpha=8, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])),
    "falcon-new": ("families/falcon-new", dict(r=3, lora_alpha=6, target_modules=NEOX)),
    "gptneox": ("families/gptneox", dict(r=2, lora_alpha=5, target_modules=NEOX)),
    "falcon": ("folders/falcon.0", dict(r=3, lora_alpha=6, target_modules=NEOX)),
    "gpt_neox": ("folders/gpt_neox.2", dict(r=2, lora_alpha=4, target_modules=NEOX, rank_pattern={"query_key_value": 5})),
    "bloom": ("folders/bloom.1", dict(r=3, lora_alpha=4, target_modules=NEOX)),
    "gpt_bigcode": ("folders/gpt_bigcode.2", dict(r=2, lora_alpha=4, target_modules=["c_attn", "c_proj", "c_fc"])),
    "gpt2": ("folders/gpt2.2", dict(r=2, lora_alpha=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "glm4": ("folders/glm4.0", dict(r=2, lora_alpha=4, target_modules=["q_proj", "gate_up_proj", "down_proj"])),
}


def write_gguf(name, config):
    """The conventions of llama.cpp's convert_lora_to_gguf.py: rows of queries and keys are permuted as the model's are."""
    folder = os.path.join(HERE, "data", "adapters", name)
    writer = gguf.GGUFWriter(folder + ".gguf", "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(ADAPTERS[name][1]["lora_alpha"]))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for key, values in load_file(os.path.join(folder, "adapter_model.safetensors")).items():
        stem, part = key.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
        if part == "lora_B" and stem.endswith(("q_proj", "k_proj")):
            head = config.head_dim
            values = values.reshape(-1, 2, head // 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(f"{names.get_name(stem)}.weight.{part.lower()}", np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name):
    base, options = ADAPTERS[name]
    random = random_model.generator(name)
    torch.manual_seed(1)
    folder = os.path.join(HERE, "data", base)
    if os.path.isdir(folder):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    else:
        model = make_families.build(os.path.basename(base))[2]
        model.config.name_or_path = folder
    adapted = peft.get_peft_model(model, peft.LoraConfig(**options)).eval()
    sequences = []
    with torch.no_grad():
        for key, parameter in adapted.named_parameters():
            if "lora_" in key:
                values = random.standard_normal(tuple(parameter.shape)) * 0.6 / parameter.shape[1] ** 0.5
                parameter.copy_(torch.from_numpy(values.astype(np.float32)))
        most = getattr(model.config, "max_position_embeddings", 70)
        for length in (1, 9, min(70, most)):
            tokens = random.integers(0, model.config.vocab_size, length)
            logits = adapted(torch.from_numpy(tokens)[None]).logits[0].numpy()
            positions = sorted({0, length // 2, length - 1})
            sequences.append((tokens, positions, logits[positions]))
    folder = os.path.join(HERE, "data", "adapters", name)
    shutil.rmtree(folder, ignore_errors=True)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    os.path.exists(os.path.join(folder, "README.md")) and os.remove(os.path.join(folder, "README.md"))
    config = os.path.join(folder, "adapter_config.json")
    with open(config) as file:
        text = file.read().replace(os.path.join(HERE, "data", base), os.path.basename(base))
    with open(config, "w") as file:
        file.write(text)
    golden_file.write_logits(folder + ".logits", sequences)
    return model.config


if __name__ == "__main__":
    for adapter in sys.argv[1:] or ADAPTERS:
        config_of_base = make(adapter)
        if adapter == "llama-all":
            write_gguf(adapter, config_of_base)
