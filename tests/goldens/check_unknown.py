"""Every causal language model that transformers has: a small one of random weights by its class's own config, saved, and what
the example `logits` says of the folder. It must give transformers' logits, or refuse the folder; a family that the library
doesn't have is refused by its model_type. Prints what differs, and the families that run and those that are refused.
Run: python3 check_unknown.py LOGITS_PROGRAM [MODEL_TYPE ...]"""

import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore")
# What makes a config small, by the names that classes have for it.
SMALL = {"hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "emb_dim": 32, "num_hidden_layers": 2, "n_layer": 2,
         "n_layers": 2, "num_layers": 2, "encoder_layers": 2, "decoder_layers": 2, "num_attention_heads": 4, "n_head": 4,
         "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 40, "ffn_dim": 40, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "n_inner": 40, "vocab_size": 80,
         "max_position_embeddings": 64, "n_positions": 64, "n_ctx": 64, "head_dim": 8, "rotary_dim": 4, "num_experts": 4,
         "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12,
         "moe_num_experts": 4, "moe_k": 2, "shared_expert_intermediate_size": 12, "pad_token_id": 0, "bos_token_id": 1,
         "eos_token_id": 2, "kv_lora_rank": 8, "q_lora_rank": 12, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
         "n_group": 1, "topk_group": 1, "embedding_size": 32, "word_embed_proj_dim": 32}
LENGTH = 20


def make(model_type):
    class_ = getattr(transformers, CONFIG_MAPPING_NAMES[model_type])
    known = class_().to_dict()
    members = {key: value for key, value in SMALL.items() if key in known}
    for attempt in (members, {key: value for key, value in members.items() if key not in ("head_dim", "num_key_value_heads")}):
        try:
            config = class_(**attempt)
            config.is_decoder = True if "is_decoder" in known else getattr(config, "is_decoder", False)
            of_model = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type])
            with torch.device("meta"):
                if sum(p.numel() for p in of_model(config).parameters()) > 5_000_000:
                    raise ValueError("too large")
            return config, of_model(config).eval().float()
        except Exception as error:  # noqa: BLE001 - of any class, whatever it says
            said = error
    raise said


def check(program, model_type):
    config, model = make(model_type)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 1.3 / min(parameter.shape) ** 0.5 if parameter.ndim >= 2 else 0.25
            parameter.add_(scale * torch.randn(parameter.shape))
    tokens = [3 + 7 * i % 60 for i in range(LENGTH)]
    with torch.no_grad():
        wanted = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        run = subprocess.run([program, "--model", folder, "--tokens", ",".join(map(str, tokens)), "--all"],
                             capture_output=True, text=True, timeout=120)
        if run.returncode < 0:
            return f"DIED of signal {-run.returncode}"
        if run.returncode:
            return "refused: " + run.stderr.strip().replace(folder, "")
    got = np.array(next(iter(json.loads(run.stdout).values())), dtype=np.float32)
    if got.shape != wanted.shape:
        return f"DIFFERS: {got.shape} for {wanted.shape}"
    difference = float(abs(got - wanted).max())
    return f"agrees ({difference:.1e})" if difference <= 2e-3 else f"DIFFERS by {difference:.3g} of {abs(wanted).max():.3g}"


def main():
    torch.set_num_threads(1)
    os.environ.setdefault("TRANSFORMER_CPU", "reference")
    bad = 0
    for model_type in sys.argv[2:] or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        try:
            said = check(sys.argv[1], model_type)
        except Exception as error:  # noqa: BLE001 - transformers can't make one of these sizes, or the run hung
            said = f"not made: {type(error).__name__}: {str(error)[:120]}"
        bad += said.startswith(("DI",))
        print(f"{model_type}: {said}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
