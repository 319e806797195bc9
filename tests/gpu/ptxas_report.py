"""What ptxas -v says of each kernel, and what it warns of."""

import re
from typing import NamedTuple

COMPILING = re.compile(r"Compiling entry function '(\w+)' for '(sm_\w+)'")
PROPERTIES = re.compile(r'(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads')
FUNCTION = re.compile(r'Function properties for (\w+)')
USED = re.compile(r'Used (\d+) registers')
# Potential performance loss: setmaxnreg that is ignored, wgmma that is serialized.
LOSS = re.compile(r'\bC75(?:0[89]|1\d)\b')


class Kernel(NamedTuple):
    name: str
    arch: str
    stack: int
    spill_stores: int
    spill_loads: int
    registers: int

    def wastes(self):
        return self.stack or self.spill_stores or self.spill_loads

    def __str__(self):
        return (f'{self.name} for {self.arch}: {self.registers} registers, {self.stack} bytes of stack frame, '
                f'{self.spill_stores} of spill stores, {self.spill_loads} of spill loads')


def kernels(text):
    """Those of which all is said: functions that a kernel calls count as its own."""
    name, found = None, None
    for line in text.splitlines():
        if match := COMPILING.search(line):
            name, found = match.groups(), [0, 0, 0]
        elif name and (match := PROPERTIES.search(line)):
            found = [a + int(b) for a, b in zip(found, match.groups())]
        elif name and (match := USED.search(line)):
            yield Kernel(*name, *found, int(match.group(1)))
            name = None


def functions(text):
    """(mangled name, bytes of stack frame, spill stores, spill loads) of every function, kernels among them."""
    name = None
    for line in text.splitlines():
        if match := FUNCTION.search(line):
            name = match.group(1)
        elif name and (match := PROPERTIES.search(line)):
            yield (name, *(int(n) for n in match.groups()))
            name = None


def losses(text):
    return [line.strip() for line in text.splitlines() if LOSS.search(line)]
