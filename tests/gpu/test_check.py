#!/usr/bin/env python3
"""check.sh itself, on the emulated device: sections one by one, records that can be read, programs that fail, hang or
are not there, and the folder that pack.sh makes.

usage: test_check.py BUILD
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
BUILD = pathlib.Path('.')


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.temporary.name)
        cls.folder = cls.root / 'packed'
        packed = subprocess.run(['sh', HERE / 'pack.sh', BUILD, cls.folder], capture_output=True, text=True)
        assert packed.returncode == 0, packed.stdout + packed.stderr

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_check(self, *sections, programs=None):
        out = self.root / 'out'
        environment = {**os.environ, 'OUT': str(out), 'SEED': '7'}
        if programs is not None:
            (self.root / 'list').write_text(programs)
            environment['CHECK_PROGRAMS'] = str(self.root / 'list')
        done = subprocess.run(['sh', self.folder / 'check.sh', '--emulated', BUILD / 'tests' / 'gpu', *sections],
                              capture_output=True, text=True, env=environment, cwd=self.root)
        records = json.loads((out / 'results.json').read_text()) if (out / 'results.json').exists() else []
        return done, records, (out / 'table.txt').read_text() if records else ''

    def test_sections(self):
        done, records, table = self.run_check('1', 'law', '3', 'speed', '7')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + table)
        ran = {record['program'].split()[0]: record['result'] for record in records if 'program' in record}
        self.assertEqual(ran, {'gpu_ceilings': 'passed', 'gpu_names': 'passed', 'gpu_law': 'passed',
                               'gpu_speed': 'passed', 'gpu_rounds': 'passed'})
        self.assertEqual({record['section'] for record in records},
                         {'machine', 'device', 'law', 'bandwidth', 'ceilings', 'speed', 'faults'})
        items = {record.get('item'): record for record in records}
        self.assertEqual(items['name']['text'], 'emulated')
        self.assertEqual(items['bf16 plain: exact, rounded after every 8']['value'], 100)
        self.assertIn('EMULATED', table)

    def test_the_sanitizer_may_be_missing(self):
        done, records, _ = self.run_check('8')
        self.assertEqual(done.returncode, 0, done.stdout)
        for record in records:
            if 'program' in record:
                self.assertIn(record['result'], ('skipped', 'passed'))

    def test_failures_are_recorded(self):
        for name, text in {'fails': 'echo "FAILED: a \\"quoted\\" \\\\ reason"; exit 3', 'hangs': 'echo begun; sleep 60',
                           'skips': 'echo skipped: no such thing; exit 77', 'dies': 'kill -SEGV $$'}.items():
            program = self.folder / 'bin' / name
            program.write_text('#!/bin/sh\n' + text + '\n')
            program.chmod(0o755)
        done, records, table = self.run_check(
            programs='law 5 fails\nlaw 1 hangs SEED\nspeed 5 skips\nfaults 5 dies\nfaults 5 absent\n')
        self.assertEqual(done.returncode, 1)
        results = {record['program']: (record['result'], record['reason']) for record in records if 'program' in record}
        self.assertEqual(results['fails'], ('failed', 'exit code 3: FAILED: a "quoted" \\ reason'))
        self.assertEqual(results['hangs 7'], ('timeout', 'after 1 s'))
        self.assertEqual(results['skips'], ('skipped', 'no such thing'))
        self.assertEqual(results['dies'][0], 'failed')
        self.assertEqual(results['absent'][0], 'skipped')
        self.assertIn('hangs 7', table)
        self.assertIn('3 failed', done.stdout)

    def test_unknown_section(self):
        done, _, _ = self.run_check('nine')
        self.assertEqual(done.returncode, 2)


if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
