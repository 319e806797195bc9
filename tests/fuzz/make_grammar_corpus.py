#!/usr/bin/env python3
"""Hand-made inputs of fuzz_grammar: usage: make_grammar_corpus.py [FOLDER]"""

import pathlib
import sys

REGEX, EBNF, JSON = b"0", b"1", b"2"
INPUTS = {
    "regex-classes": (REGEX, rb"[^a-c\d]+\.(x|y){2,5}?$", b"zz.xy"),
    "regex-anchors": (REGEX, b"^(a|^b|c$)*$", b"ac"),
    "regex-nested": (REGEX, b"((a?){3}|b*){2}", b"aab"),
    "regex-unicode": (REGEX, rb"\u{1F600}|[\u00e9-\ud83d\ude00]", b"\xc3\xa9"),
    "regex-blowup": (REGEX, b"(a|b)*a(a|b){14}", b"abab"),
    "ebnf-nested": (EBNF, b'root ::= "(" root? ")" | [a-z]{1,3} ("," root)*', b"(a,b)"),
    "ebnf-ambiguous": (EBNF, b's ::= "a" s s | "a" s | "a"', b"aaaaaaaaaaaaaaa"),
    "ebnf-left": (EBNF, b'e ::= e "+" e | "1"', b"1+1"),
    "ebnf-empty-rules": (EBNF, b'r ::= a b c\na ::= ""\nb ::= a?\nc ::= "x" r | ""', b"xx"),
    "ebnf-json": (EBNF, b'r ::= "<" %json {"type":["integer","null"]} ">" r? | %json {"items":{"$ref":"#"}} # "', b"<1>[[]]"),
    "ebnf-json-broken": (EBNF, b'r ::= "a" | %json {"a":[{"b":1}', b"a"),
    "schema-object": (JSON, b'{"type":"object","properties":{"a":{"type":"integer"},"b":{"enum":["x",null]}},'
                            b'"required":["b"],"additionalProperties":false,"minProperties":1}', b'{"b":"x"}'),
    "schema-patterns": (JSON, b'{"patternProperties":{"^a":{"type":"string"},"b$":{"maxLength":2}},'
                              b'"additionalProperties":false,"maxProperties":2}', b'{"ab":"x"}'),
    "schema-recursive": (JSON, b'{"type":"array","items":{"$ref":"#"},"maxItems":2}', b"[[],[[]]]"),
    "schema-contains": (JSON, b'{"contains":{"minimum":5},"maxContains":2,"type":"array","minItems":1}', b"[1,5]"),
    "schema-one": (JSON, b'{"oneOf":[{"minimum":2},{"multipleOf":3},{"type":"string"}]}', b"3"),
    "schema-not": (JSON, b'{"not":{"properties":{"a":{"const":[1,{"b":2}]}},"required":["a"]}}', b'{"a":1}'),
    "schema-if": (JSON, b'{"if":{"type":"number"},"then":{"exclusiveMaximum":1e2},"else":{"pattern":"^x"}}', b"99"),
    "schema-loop": (JSON, b'{"anyOf":[{"$ref":"#/anyOf/0"}]}', b""),
    "schema-format": (JSON, b'{"format":"date-time","minLength":12}', b'"2024'),
    "schema-space": (b"6", b'{"properties":{"a":{"items":{"type":"null"}}}}', b'{ "a" : [ null ] }'),
    "schema-broken": (JSON, b'{"type":["string",', b""),
}


def main():
    default = pathlib.Path(__file__).parent / "corpus" / "grammar"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, text, rest) in INPUTS.items():
        (folder / name).write_bytes(kind + text + b"\0" + rest)


if __name__ == "__main__":
    main()
