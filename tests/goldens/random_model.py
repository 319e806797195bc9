"""Small random models of each family, made with Hugging Face transformers."""

import copy
import functools
import zlib

import numpy as np
import torch
import transformers
import transformers.models.gemma3.modeling_gemma3

FAMILIES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
}


EAGER = transformers.models.gemma3.modeling_gemma3.eager_attention_forward


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


def change_layers(model, layers):
    """Gives each layer heads and a width of its own: what its config changes."""
    model.config.layer_configs = []
    for i, (layer, changes) in enumerate(zip(model.model.layers, layers)):
        config = copy.deepcopy(model.config)
        for member, value in changes.items():
            setattr(config, member, value)
        layer.self_attn = type(layer.self_attn)(config, i)
        layer.mlp = type(layer.mlp)(config)
        model.config.layer_configs.append(config)


def change_attention(model, options):
    """Scales and caps that the family's config has no member for, or reads and then leaves out."""
    for layer in model.model.layers:
        layer.self_attn.scaling = options.get("attention_scale", layer.self_attn.scaling)
    gemma3 = transformers.models.gemma3.modeling_gemma3
    gemma3.eager_attention_forward = functools.partial(EAGER, softcap=options.get("attention_softcap"))


def rotate_in_part(model, n):
    """The file rotates the first n dims of a head in pairs; here these are the pairs (i, i + head_dim/2) of i < n/2. A
    frequency of 0 leaves the others as they are."""
    model.config.rope_dims = n
    half = model.config.head_dim // 2
    for name, buffer in model.model.rotary_emb.named_buffers():
        kind = name.removesuffix("inv_freq").removesuffix("original_").rstrip("_")
        parameters = model.config.rope_parameters
        base = (parameters[kind] if kind else parameters)["rope_theta"]
        frequencies = torch.zeros(half)
        frequencies[: n // 2] = 1.0 / base ** (torch.arange(0, n, 2).float() / n)
        buffer.copy_(frequencies)


def build(name, family, options, **config):
    config_class, model_class = FAMILIES[options.get("class", family)]
    config = config_class(attn_implementation="eager", **config)
    if not hasattr(config, "head_dim") or config.head_dim is None:
        config.head_dim = config.hidden_size // config.num_attention_heads
    model = model_class(config)
    if "layers" in options:
        change_layers(model, options["layers"])
    if options.get("head_bias"):
        model.lm_head = torch.nn.Linear(config.hidden_size, config.vocab_size)
    model = model.eval().float()
    change_attention(model, options)
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
            rotate_in_part(model, options["rope_dims"])
    return model


def logits(model, tokens, positions):
    with torch.no_grad():
        rows = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    return rows[positions].float().numpy()
