"""C sources as text: comments and literals blanked, functions found by their braces."""

import re

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    """Comments and literals become spaces, so that lines and columns stay."""
    return TOKEN.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def without_comments(text):
    return TOKEN.sub(
        lambda m: re.sub(r'[^\n]', ' ', m.group()) if m.group().startswith('/') else m.group(), text)


def blocks(text):
    """(kind, name, first line, last line) of each outermost {...}: kind is 'function' or 'data'."""
    plain = re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*',
                   lambda m: re.sub(r'[^\n]', ' ', m.group()), blank(text), flags=re.M)
    plain = re.sub(r'extern\s+\{', lambda m: ' ' * len(m.group()), plain)
    depth, start, found = 0, 0, []
    for at, character in enumerate(plain):
        if character == '{':
            if depth == 0:
                opened = at
            depth += 1
        elif character == '}':
            depth = max(0, depth - 1)
            if depth == 0:
                head = plain[start:opened]
                lead = len(head) - len(head.lstrip())
                call = re.search(r'\b(\w+)\s*\(', head)
                is_function = '=' not in head and head.rstrip().endswith(')')
                found.append(('function' if is_function else 'data',
                              call.group(1) if call else head.strip()[:40],
                              plain.count('\n', 0, start + lead) + 1,
                              plain.count('\n', 0, at) + 1))
                start = at + 1
        elif character == ';' and depth == 0:
            start = at + 1
    return found
