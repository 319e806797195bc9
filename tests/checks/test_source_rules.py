#!/usr/bin/env python3
"""Each source rule finds what it is for: a small tree that breaks it, and one that doesn't."""

import pathlib
import tempfile
import unittest

import source_rules


class Rules(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.put('include/transformer.h', 'typedef int32_t transformer_status;\nenum { TRANSFORMER_OK = 0 };\n')
        self.put('lib/meson.build', "'base/a.c' 'cpu/b.c'")
        self.put('tests/meson.build', "'a'")
        self.put('lib/base/a.h', '')
        self.put('lib/base/a.c', '#include "base/a.h"\n#include "transformer.h"\n')
        self.put('lib/engine/e.h', '')
        self.put('lib/cpu/b.c', '/* #include "engine/e.h" */\n#include "base/a.h"\n')
        (self.root / 'examples').mkdir()

    def put(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(self, rule):
        return list(getattr(source_rules, 'check_' + rule)(self.root))

    def test_a_tree_that_keeps_them(self):
        for rule in ('includes', 'lengths', 'listed', 'casts', 'top'):
            self.assertEqual(self.found(rule), [], rule)

    def test_include_against_the_arrows(self):
        self.put('lib/cpu/b.c', '#include "engine/e.h"\n')
        self.assertEqual(len(self.found('includes')), 1)
        self.put('lib/cpu/b.c', '#include "../base/a.h"\n')
        self.assertEqual(len(self.found('includes')), 1)
        self.put('lib/odd/c.c', '')
        self.assertEqual(len(self.found('includes')), 2)

    def test_example_beyond_the_api(self):
        self.put('examples/x.c', '#include "base/a.h"\n')
        self.assertEqual(len(self.found('includes')), 1)

    def test_lengths(self):
        body = '    x();\n'
        self.put('lib/base/a.c', 'void f(void) {\n' + body * 148 + '}\n')
        self.assertEqual(self.found('lengths'), [])
        self.put('lib/base/a.c', 'void f(void) {\n' + body * 149 + '}\n')
        self.assertEqual(len(self.found('lengths')), 1)
        self.put('lib/base/a.c', 'static void\nf(void) {\n    s("}"); /* } */\n' + body * 148 + '}\n')
        self.assertEqual(len(self.found('lengths')), 1)
        self.put('lib/base/a.c', 'int x;\n' * 1001)
        self.assertEqual(len(self.found('lengths')), 1)
        self.put('lib/base/a.c', 'int t[] = {\n' + '    1,\n' * 2000 + '};\n')
        self.assertEqual(self.found('lengths'), [])
        self.put('examples/long.c', '\n' * 200)
        self.assertEqual(len(self.found('lengths')), 1)

    def test_left_out_of_the_build(self):
        self.put('lib/base/new.c', '')
        self.put('tests/unit/test_new.c', '')
        self.put('cuda/new.c', '')
        self.put('cuda/kernels/new.cu', '')
        self.put('cuda/kernels/listed.cu', '')
        self.put('cuda/meson.build', "'kernels/listed.cu'")
        self.assertEqual(len(self.found('listed')), 4)

    def test_casts(self):
        self.put('lib/base/a.c', '/* (void **)&x */\nvoid **x;\ny = (void *)z;\n')
        self.assertEqual(self.found('casts'), [])
        self.put('lib/base/a.c', 'take((void **)&x);\ntake((const void**)\n&x);\n')
        self.assertEqual(len(self.found('casts')), 2)

    def test_top_level(self):
        self.put('stray.txt', '')
        self.assertEqual(len(self.found('top')), 1)


if __name__ == '__main__':
    unittest.main()
