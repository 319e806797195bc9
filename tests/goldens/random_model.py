"""Small random models of each family, made with Hugging Face transformers."""

import zlib

import numpy as np
import torch
import transformers

FAMILIES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
}


def generator(name):
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def weight_deviation(name, shape, tied):
    """Sizes at which attention is neither uniform nor one-hot and the logits are a few units wide, so that a wrong
    rotation, scale or mask shows."""
    if name == "model.embed_tokens.weight":
        return 1.5 / shape[1] ** 0.5 if tied else 1.0
    if name.endswith("bias"):
        return 0.3
    gain = 1.5 if ".q_proj." in name or ".k_proj." in name or name == "lm_head.weight" else 1.0
    return gain / shape[1] ** 0.5


def build(name, family, options, **config):
    config_class, model_class = FAMILIES[options.get("class", family)]
    config = config_class(attn_implementation="eager", **config)
    if not hasattr(config, "head_dim") or config.head_dim is None:
        config.head_dim = config.hidden_size // config.num_attention_heads
    model = model_class(config).eval().float()
    random = generator(name)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("norm.weight"):
                center = 0.0 if family == "gemma3" else 1.0
                center += 0.6 if "q_norm" in key or "k_norm" in key else 0.0
                # Many layers at full strength would multiply a rounding of the first by thousands.
                center += options.get("post_norm", 0.0) if "layernorm" in key and "post" in key else 0.0
                values = center + 0.2 * random.standard_normal(parameter.shape)
            else:
                deviation = weight_deviation(key, parameter.shape, config.tie_word_embeddings)
                values = deviation * random.standard_normal(parameter.shape)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
        if "rope_dims" in options:
            # The file rotates the first n dims of a head in adjacent pairs; here these are the pairs
            # (i, i + head_dim/2) of i < n/2. A frequency of 0 leaves the others as they are.
            n = options["rope_dims"]
            base = config.rope_parameters["rope_theta"]
            frequencies = torch.zeros(config.head_dim // 2)
            frequencies[: n // 2] = 1.0 / base ** (torch.arange(0, n, 2).float() / n)
            model.model.rotary_emb.inv_freq.copy_(frequencies)
    return model


def logits(model, tokens, positions):
    with torch.no_grad():
        rows = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    return rows[positions].float().numpy()
