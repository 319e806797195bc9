"""Strings of all kinds for tokenizers, the same as tests/unit/generated_text.h makes."""

MASK = (1 << 64) - 1

# words and what stands in texts between them
WORDS = [
    "the", "of", "and", "Hello", "world", "don't", "I'll", "we've", "HTTP", "camelCase", "naïve", "Straße", "L'été",
    "tokenization", "antidisestablishmentarianism", "int main(void) {", "return 0;", "}", "https://example.org/a?b=c&d=1",
    "user@example.com", "3.14159", "1,234,567", "2024-01-31", "$19.99", "50%", "C++", "a/b/c.txt", "x = y + z", "foo_bar",
    "...", "--", "\"quoted\"", "(aside)", "[1]", "<b>", "#tag", "@name", "'s", "`code`", "\\n", "Ünïcödé", "ΑΒΓ αβγ",
    "Привет", "мир", "שלום", "مرحبا", "नमस्ते", "สวัสดี", "안녕하세요", "こんにちは", "カタカナ", "你好", "世界", "中文字",
    "ﬁne", "①②③", "Ⅷ", "½", "ＦＵＬＬ", "ｶﾅ", "㍿", "𝔘𝔫𝔦", "İstanbul", "ıI", "ǅ", "ß", "Å", "한글", "\u2581under",
]

# first and last character of blocks
RANGES = [
    (0x20, 0x7E), (0x61, 0x7A), (0x30, 0x39), (0x21, 0x2F), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2AF), (0x370, 0x3FF),
    (0x400, 0x4FF), (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF),
    (0xB80, 0xBFF), (0xC00, 0xC7F), (0xE00, 0xE7F), (0xE80, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF),
    (0x1100, 0x11FF), (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1780, 0x17FF), (0x1800, 0x18AF), (0x1E00, 0x1EFF),
    (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x214F), (0x2150, 0x218F),
    (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x257F), (0x2600, 0x26FF), (0x3000, 0x303F),
    (0x3040, 0x309F), (0x30A0, 0x30FF), (0x3130, 0x318F), (0x3200, 0x32FF), (0x3300, 0x33FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA000, 0xA48F), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xF900, 0xFAFF), (0xFB00, 0xFB4F),
    (0xFB50, 0xFDFF), (0xFE70, 0xFEFF), (0xFF00, 0xFFEF), (0xFFF0, 0xFFFF), (0x10000, 0x1007F), (0x10400, 0x1044F),
    (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF),
    (0x20000, 0x2A6DF), (0xE0000, 0xE007F), (0x10FFF0, 0x10FFFF),
]

MARKS = [0x300, 0x301, 0x302, 0x303, 0x308, 0x30A, 0x30C, 0x323, 0x327, 0x328, 0x345, 0x483, 0x5B0, 0x64B, 0x651, 0x93C,
         0x94D, 0xE31, 0xE49, 0x3099, 0x309A, 0x20D0, 0x20E3, 0xFE0E, 0xFE0F, 0x1F3FB, 0x1F3FF, 0x200D]

CONTROLS = [0x00, 0x01, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1B, 0x1F, 0x20, 0x7F, 0x80, 0x85, 0x9F, 0xA0, 0xAD,
            0x1680, 0x180E, 0x2003, 0x200B, 0x200C, 0x200D, 0x200E, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF,
            0xFFFC, 0xFFFD]

EMOJI = ["😀", "👍🏽", "👩‍💻", "👨‍👩‍👧‍👦", "🇩🇪", "🇺🇸", "❤️", "🏳️‍🌈", "1️⃣", "☃", "🤷🏻‍♀️", "🧑🏿‍🚀"]

MALFORMED = [b"\x80", b"\xbf", b"\xc0\xaf", b"\xc3", b"\xe2\x82", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x9f\x98",
             b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff\xff", b"\xf0\x80", b"\xe2\x28\xa1"]

RUNS = ["a", " ", "\n", "=", "ab", "0", "é", "中", "😀", "\u0301", "!?", "\t", "Z", "\u2581", "- "]


class Random:
    """splitmix64"""

    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return self.next() % n


def character(r, ranges):
    first, last = ranges[r.below(len(ranges))]
    return first + r.below(last - first + 1)


def encode(c):
    return chr(c).encode("utf-8")


def part(r):
    kind = r.below(16)
    if kind < 5:
        return WORDS[r.below(len(WORDS))].encode()
    if kind < 8:
        first, last = RANGES[r.below(len(RANGES))]
        return b"".join(encode(first + r.below(last - first + 1)) for _ in range(1 + r.below(8)))
    if kind == 8:
        return b"".join(encode(character(r, RANGES)) for _ in range(1 + r.below(6)))
    if kind == 9:
        c = encode(character(r, RANGES))
        return c + b"".join(encode(MARKS[r.below(len(MARKS))]) for _ in range(1 + r.below(4)))
    if kind == 10:
        return b"".join(encode(CONTROLS[r.below(len(CONTROLS))]) for _ in range(1 + r.below(3)))
    if kind == 11:
        return EMOJI[r.below(len(EMOJI))].encode()
    if kind == 12:
        return str(r.below(10 ** (1 + r.below(12)))).encode()
    if kind == 13:
        n = 1 + r.below(40 if r.below(8) else 600)
        return RUNS[r.below(len(RUNS))].encode() * n
    if kind == 14:
        return MALFORMED[r.below(len(MALFORMED))]
    return bytes([97 + r.below(26)]) * 1 + b"".join(encode(character(r, RANGES[:4])) for _ in range(r.below(12)))


def text(index, seed=1):
    """Bytes, not always UTF-8."""
    r = Random((seed << 32) + index)
    out = b""
    for i in range(r.below(10)):
        if i and r.below(3):
            out += b" "
        out += part(r)
    return out


def repaired(data):
    """What the library reads: each maximal subpart of what is no character is U+FFFD."""
    return data.decode("utf-8", errors="replace")


def fnv(hash_, values):
    for value in values:
        for byte in (value & 0xFFFFFFFF).to_bytes(4, "little"):
            hash_ = ((hash_ ^ byte) * 0x100000001B3) & MASK
    return hash_


BLOCK = 100
FNV_START = 0xCBF29CE484222325


def block_hashes(encode_text, n=10000, seed=1):
    """A hash of each 100 texts' counts and ids."""
    out = []
    for begin in range(0, n, BLOCK):
        h = FNV_START
        for i in range(begin, begin + BLOCK):
            ids = list(encode_text(repaired(text(i, seed))))
            h = fnv(h, [len(ids)] + ids)
        out.append(h)
    return out


def header():
    """The tables of generated_text.h."""

    def string(data):
        return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else "\\%03o" % b for b in data) + '"'

    def table(kind, name, items, per_line):
        lines = ["static const %s %s[] = {" % (kind, name)]
        for i in range(0, len(items), per_line):
            lines.append("    " + ", ".join(items[i : i + per_line]) + ",")
        return "\n".join(lines + ["};"])

    print(table("char *const", "generated_words", [string(w.encode()) for w in WORDS], 4))
    print(table("uint32_t", "generated_ranges", ["0x%x, 0x%x" % r for r in RANGES], 4))
    print(table("uint32_t", "generated_marks", ["0x%x" % c for c in MARKS], 10))
    print(table("uint32_t", "generated_controls", ["0x%x" % c for c in CONTROLS], 10))
    print(table("char *const", "generated_emoji", [string(w.encode()) for w in EMOJI], 2))
    print(table("char *const", "generated_malformed", [string(w) for w in MALFORMED], 4))
    print(table("char *const", "generated_runs", [string(w.encode()) for w in RUNS], 5))


if __name__ == "__main__":
    header()
