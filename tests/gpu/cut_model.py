#!/usr/bin/env python3
"""A GGUF model cut to its first layers: a real model's weights in a file small enough to be taken to a machine with a
GPU. It says nothing sensible, but its distributions can be compared.

usage: cut_model.py IN LAYERS OUT
"""

import struct
import sys

FORMATS = {0: '<B', 1: '<b', 2: '<H', 3: '<h', 4: '<I', 5: '<i', 6: '<f', 7: '<B', 10: '<Q', 11: '<q', 12: '<d'}
TEXT, ARRAY = 8, 9


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        size = self.number('<Q')
        self.at += size
        return self.data[self.at - size:self.at]

    def skip(self, kind):
        """Past a value; the type and number of an array's elements."""
        if kind == TEXT:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number('<I'), self.number('<Q')
            if inner in FORMATS:
                self.at += count * struct.calcsize(FORMATS[inner])
            else:
                for _ in range(count):
                    self.skip(inner)
            return inner, count
        else:
            self.number(FORMATS[kind])
        return None


def text(value):
    return struct.pack('<Q', len(value)) + value


def cut_key(reader, n_layers, old):
    """Name and bytes of the next key, its value cut if it is one of each layer."""
    name, kind = reader.text(), reader.number('<I')
    begin = reader.at
    array = reader.skip(kind)
    value = reader.data[begin:reader.at]
    if name.endswith(b'.block_count'):
        value = struct.pack(FORMATS[kind], n_layers)
    elif array and array[1] == old and array[0] in FORMATS and not name.startswith(b'tokenizer.'):
        size = struct.calcsize(FORMATS[array[0]])
        value = struct.pack('<IQ', array[0], n_layers) + value[12:12 + n_layers * size]
    return text(name) + struct.pack('<I', kind) + value


def block_count(data, n_keys):
    reader = Reader(data)
    reader.at = 24
    for _ in range(n_keys):
        name, kind = reader.text(), reader.number('<I')
        if name.endswith(b'.block_count'):
            return reader.number(FORMATS[kind])
        reader.skip(kind)
    raise SystemExit('the file has no block_count')


def alignment_of(data, n_keys):
    reader = Reader(data)
    reader.at = 24
    for _ in range(n_keys):
        name, kind = reader.text(), reader.number('<I')
        if name == b'general.alignment':
            return reader.number(FORMATS[kind])
        reader.skip(kind)
    return 32


def cut(data, n_layers):
    reader = Reader(data)
    if data[:4] != b'GGUF':
        raise SystemExit('not a GGUF file')
    reader.at = 4
    version, n_tensors, n_keys = reader.number('<I'), reader.number('<Q'), reader.number('<Q')
    old, alignment = block_count(data, n_keys), alignment_of(data, n_keys)
    keys = [cut_key(reader, n_layers, old) for _ in range(n_keys)]
    tensors = []
    for _ in range(n_tensors):
        name = reader.text()
        dims = [reader.number('<Q') for _ in range(reader.number('<I'))]
        tensors.append((name, dims, reader.number('<I'), reader.number('<Q')))
    begin = -(-reader.at // alignment) * alignment
    offsets = sorted(tensor[3] for tensor in tensors) + [len(data) - begin]
    end_of = dict(zip(offsets, offsets[1:]))
    kept = [tensor for tensor in tensors
            if not (tensor[0].startswith(b'blk.') and int(tensor[0].split(b'.')[1]) >= n_layers)]
    infos, bodies, at = [], [], 0
    for name, dims, kind, offset in kept:
        body = data[begin + offset:begin + end_of[offset]]
        body += bytes(-len(body) % alignment)
        infos.append(text(name) + struct.pack(f'<I{len(dims)}QIQ', len(dims), *dims, kind, at))
        bodies.append(body)
        at += len(body)
    head = b'GGUF' + struct.pack('<IQQ', version, len(kept), n_keys) + b''.join(keys + infos)
    return head + bytes(-len(head) % alignment) + b''.join(bodies)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with open(sys.argv[1], 'rb') as file:
        data = file.read()
    with open(sys.argv[3], 'wb') as file:
        file.write(cut(data, int(sys.argv[2])))


if __name__ == '__main__':
    main()
