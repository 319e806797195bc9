"""Writes pretokenize.txt: how texts are cut into words by each family of pre-tokenization rules.

The words come from Hugging Face tokenizers, run with the regular expressions that the published tokenizers have in
their tokenizer.json (or, where a tokenizer is not distributed in that form, that its own code uses). Each line is

    NAME <tab> text with JSON escapes <tab> byte offsets of the words' ends
"""

import json
import pathlib
import random
import sys
import unicodedata

from tokenizers import Regex, pre_tokenizers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
CJK = "[一-龥\u0800-一가-\ud7ff]+".encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
KANA = "[一-龥\u3040-\u309f\u30a0-\u30ff]+"
DEEPSEEK_V3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
               r" ?[\p{P}\p{S}]+[\r\n]*|" + SPACES)
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"


def cased(end, not_han=""):
    upper, lower = (f"[{part}{not_han}]" for part in (UPPER, LOWER))
    return rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{end}|[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{end}|"


OTHERS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES
GPT4O = cased(CONTRACTIONS + "?") + r"\p{N}{1,3}|" + OTHERS

RULES = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "default": [r"[\p{P}$+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "falcon": [r"[\p{P}$+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "llama-bpe": [LLAMA3],
    "qwen2": [QWEN2],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
                   r"\s+(?!\S)|\s+"],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACES],
    "laguna": [r"[^\n]+|[\n]+", QWEN2],
    "ufakzeka": [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES],
    "seed-coder": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + SPACES],
    "minicpm5": [r"\p{N}{1,3}",
                 CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES],
    "jais-2": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
               + "|".join(rf"\s{{{2**i}}}(?!\S)" for i in range(9, 1, -1)) + r"|\s{1,2}(?!\S)|\s{1}"],
    "exaone-moe": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|"
                   r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, DEEPSEEK_V3],
    "spark2_5": [r"\p{N}{1,3}", KANA, DEEPSEEK_V3.replace(r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+",
                                                          r" ?[\p{P}\p{S}]+|[\r\n]"), r"\p{N}"],
    "youtu": [r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
              cased(CONTRACTIONS + "?") + r"\p{N}|" + OTHERS],
    "tekken": [cased("") + r"\p{N}|" + OTHERS],
    "gpt-4o": [GPT4O],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", GPT4O],
    "kimi-k2": [r"[\p{Han}]+|" + cased(CONTRACTIONS + "?", r"&&[^\p{Han}]")
                + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "bloom": [r" ?[^(\s|[.,!?…。，、।۔،])]+"],
    "viking": [r" ?[^(\s|[.,!?…。，、।۔،])]+", r"\p{N}"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}",
                  r"[\p{P}!-/:-@\[-`{-~]", GPT2],
}

BLOCKS = [(0x20, 0x7e)] * 8 + [
    (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x4ff), (0x590, 0x5ff), (0x600, 0x6ff), (0x660, 0x669),
    (0x900, 0x97f), (0xe00, 0xe7f), (0x10a0, 0x10ff), (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x206f),
    (0x20a0, 0x20bf), (0x2100, 0x218f), (0x2190, 0x23ff), (0x2e80, 0x2fdf), (0x3000, 0x303f), (0x3040, 0x30ff),
    (0x3100, 0x312f), (0x3130, 0x318f), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfe30, 0xfe4f),
    (0xff00, 0xffef), (0x10400, 0x1044f), (0x1d400, 0x1d7ff), (0x1f300, 0x1f5ff), (0x20000, 0x200ff), (0, 0x1f),
    (0x80, 0x9f), (0x17f, 0x17f), (0x2160, 0x2188), (0xb2, 0xb9)]
PIECES = ["'s", "'S", "'ſ", "'ll", "'LL", "'Re", "'", "12", "345", "6789", "1234567", "½", "²", "A", "aB", "Ab", "ABC",
          " ", "  ", "    ", "\t", "\n", "\r\n", "\n\n", " \n", " \n ", "\u3000", "\u00a0", "/", "//\n", "!", "...",
          "\u0301", "e\u0301", "中", "한", "ん", "ʰ", "ー", "々", "〇", "$", "^", "`", "|", "(", "。", "_", "<sentinel:12>",
          "<sentinel:>", "IMGIMGABCZ", "IMGIMGZ", "IMGIMGABCDEZ", "word", "Word", "WORD", "Ünï", "Привет", "№", "🚀"]


def texts(count, seed):
    chosen = random.Random(seed)
    for _ in range(count):
        text = ""
        for _ in range(chosen.randint(1, 14)):
            if chosen.random() < 0.6:
                text += chosen.choice(PIECES) * chosen.choice([1, 1, 1, 1, 2, 3, 9])
            else:
                first, last = chosen.choice(BLOCKS)
                text += "".join(chr(chosen.randint(first, last)) for _ in range(chosen.randint(1, 5)))
        yield "".join(c for c in text if unicodedata.category(c) != "Cn")


def split(rules, text):
    steps = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(rule), "isolated") for rule in rules])
    ends = [end for _, (_, end) in steps.pre_tokenize_str(text)]
    return [len(text[:end].encode()) for end in ends]


def main():
    folder = pathlib.Path(__file__).parent
    with open(folder / "pretokenize.txt", "w", encoding="ascii") as out:
        for i, (name, rules) in enumerate(RULES.items()):
            for text in texts(int(sys.argv[1]) if len(sys.argv) > 1 else 24, i):
                out.write(f"{name}\t{json.dumps(text)}\t{' '.join(map(str, split(rules, text)))}\n")


if __name__ == "__main__":
    main()
