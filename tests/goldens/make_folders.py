"""Writes data/folders: for each family of check_folders.py the first of its random configs that are small, as Hugging Face
folders, and their logits. Run: python3 make_folders.py [FAMILY ...]"""

import glob
import os
import shutil
import sys

import golden_file
import torch
from check_folders import FAMILIES, draw, write

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "folders")
MOST_PARAMETERS = 9000
MODELS_OF_FAMILY = 3
# seeds that aren't among the first small ones, for what the config has
MORE = {"llama": ("dynamic", "longrope", "yarn"), "phi3": ("longrope",), "qwen2": ("linear", "yarn")}


# Whose logits bf16 arithmetic moves further than the test lets other paths differ.
SHARP = {"glm4_moe": (26,), "ministral": (24,)}
# One of yarn's members in the object of a kind of layers, where transformers doesn't read it; ALiBi of more than 8 heads.
ALSO = {"olmo3": (5002,), "falcon": (360,)}


def seeds(family):
    """The first small ones, and one more with each rope of MORE."""
    wanted, chosen = list(MORE.get(family, ())), []
    for seed in range(1000):
        _, members, model = draw(family, seed)
        if sum(p.numel() for p in model.parameters()) > MOST_PARAMETERS or seed in SHARP.get(family, ()):
            continue
        kind = members.get("rope_parameters", {}).get("rope_type")
        if len(chosen) < MODELS_OF_FAMILY or kind in wanted:
            chosen.append(seed)
            wanted = [other for other in wanted if other != kind]
        if len(chosen) >= MODELS_OF_FAMILY and not wanted:
            return chosen + list(ALSO.get(family, ()))
    raise ValueError(f"{family}: too few small configs")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        for old in glob.glob(os.path.join(FOLDER, name + ".*")):
            shutil.rmtree(old) if os.path.isdir(old) else os.remove(old)
        for number, seed in enumerate(seeds(name)):
            folder = os.path.join(FOLDER, f"{name}.{number}")
            os.makedirs(folder)
            _, tokens, logits = write(name, seed, folder)
            generation = os.path.join(folder, "generation_config.json")
            if os.path.exists(generation):
                os.remove(generation)
            golden_file.write_logits(folder + ".logits", [(tokens, list(range(len(tokens))), logits)])
        print(name, flush=True)
