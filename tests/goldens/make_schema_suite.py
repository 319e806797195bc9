#!/usr/bin/env python3
"""The official JSON Schema test suite as one text file: what test_schema_suite reads.

usage: make_schema_suite.py SUITE OUTPUT    SUITE: its folder tests/, of the sdist of PyPI's jsonschema (json/tests) or of
                                            github.com/json-schema-org/JSON-Schema-Test-Suite (MIT, docs/notices)

A line "# FILE | DESCRIPTION", then "S SCHEMA", then "+ INSTANCE" where it is valid and "- INSTANCE" where not. Left out are
instances that are no JSON text of UTF-8 (halves of surrogate pairs), files about keywords that the library refuses altogether,
and formats that it doesn't know, which by the specification say nothing."""

import json
import pathlib
import sys

DRAFTS = ("draft2020-12", "draft7")
LEFT_OUT = {"unevaluatedItems", "unevaluatedProperties", "dynamicRef", "refRemote", "vocabulary", "cross-draft", "content",
            "format-assertion", "unknownKeyword", "refOfUnknownKeyword", "no-schema", "format"}
FORMATS = {"date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri", "json-pointer",
           "relative-json-pointer", "unknown"}


def text_of(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main():
    suite, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    lines = []
    for draft in DRAFTS:
        for path in sorted((suite / draft).rglob("*.json")):
            is_format = path.parent.name == "format"
            if (path.stem not in FORMATS) if is_format else path.stem in LEFT_OUT:
                continue
            for group in json.loads(path.read_text(encoding="utf-8")):
                schema = group["schema"]
                if draft == "draft7" and isinstance(schema, dict):
                    schema.setdefault("$schema", "http://json-schema.org/draft-07/schema#")
                lines.append(f"# {path.relative_to(suite)} | {group['description']}")
                lines.append("S " + text_of(schema))
                for test in group["tests"]:
                    line = ("+ " if test["valid"] else "- ") + text_of(test["data"])
                    try:
                        line.encode()
                    except UnicodeEncodeError:
                        continue
                    lines.append(line)
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
