#!/usr/bin/env python3
"""check.sh itself, on the emulated device: sections one by one, records that can be read, programs that fail, hang or
are not there, and the folder that pack.sh makes.

usage: test_check.py BUILD
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

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

    def run_check(self, *sections, programs=None, capability='8.0', models='', seconds='590'):
        out = self.root / 'out'
        environment = {**os.environ, 'OUT': str(out), 'SEED': '7',
                       'TEST_MODELS': str(models), 'MOST_SECONDS': seconds, 'EMULATED_CAPABILITY': capability}
        if programs is not None:
            (self.root / 'list').write_text(programs)
            environment['CHECK_PROGRAMS'] = str(self.root / 'list')
        done = subprocess.run(['sh', self.folder / 'check.sh', '--emulated', BUILD / 'tests' / 'gpu', *sections],
                              capture_output=True, text=True, env=environment, cwd=self.root)
        records = json.loads((out / 'results.json').read_text()) if (out / 'results.json').exists() else []
        return done, records, (out / 'table.txt').read_text() if records else ''

    def test_folder(self):
        """It has all that a machine needs: kernels as the build has them, libraries, goldens."""
        kernels = sorted(path.name for path in (BUILD / 'cuda').glob('*.fatbin'))
        self.assertEqual(sorted(path.name for path in (self.folder / 'kernels').iterdir()), kernels)
        self.assertTrue(list((self.folder / 'lib').glob('libtransformer.so*')))
        self.assertTrue(list((self.folder / 'goldens' / 'small').glob('*.gguf')))
        self.assertTrue((self.folder / 'version.txt').read_text().strip())

    def test_sections(self):
        done, records, table = self.run_check('1', 'law', '3', 'speed', '7')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + table)
        ran = {}
        for record in records:
            if 'program' in record:
                ran.setdefault(record['program'].split()[0], set()).add(record['result'])
        self.assertTrue(any('splits of 256' in record.get('item', '') for record in records))
        self.assertEqual(ran, {name: {'passed'} for name in (
            'gpu_ceilings', 'gpu_names', 'gpu_law', 'gpu_law_chains', 'gpu_models', 'gpu_speed', 'gpu_speed_kernels',
            'gpu_rounds')})
        self.assertEqual({record['section'] for record in records},
                         {'machine', 'device', 'law', 'bandwidth', 'ceilings', 'models', 'speed', 'faults'})
        items = {record.get('item'): record for record in records}
        self.assertEqual(items['name']['text'], 'emulated')
        self.assertEqual(items['bf16 plain: exact, rounded after every 8']['value'], 100)
        self.assertEqual(items['bf16 mma.sync: huge B where A is zero']['value'], 100)
        for item in ('memory, of the estimate', 'decode of 2 after 3', 'a step of 1 rows as a graph',
                     'a step of 1 rows by the persistent kernel', 'a step of 1 rows launch by launch',
                     "divergence from the CPU's reference"):
            self.assertIn('1B of Q8_0 on the GPU: ' + item, items)
        self.assertIn('1B of Q4_K on the CPU: prefill of 20', items)
        self.assertIn('EMULATED', table)

    def test_order(self):
        """What is right comes before what is fast, and hardware that is not there is skipped by name."""
        done, records, _ = self.run_check('faults', 'law', 'device', 'goldens')
        self.assertEqual(done.returncode, 0, done.stdout)
        ran = [(record['section'], record['program'].split()[0]) for record in records if 'program' in record]
        self.assertEqual(list(dict.fromkeys(section for section, _ in ran)), ['device', 'law', 'goldens', 'faults'])
        items = {record.get('item'): record for record in records}
        self.assertEqual(items['wgmma']['text'], 'skipped: compute capability 8.0')
        results = {record['program']: record['reason'] for record in records if 'program' in record}
        self.assertIn('TEST_MODELS', results['gpu_models real 7'])

    def test_real(self):
        """Whatever model is in TEST_MODELS is compared: here one cut to its first layer."""
        models = self.root / 'models'
        models.mkdir()
        golden = HERE.parent / 'goldens' / 'data' / 'small' / 'llama-gqa.gguf'
        subprocess.run([sys.executable, HERE / 'cut_model.py', golden, '1', models / 'cut.gguf'], check=True)
        self.assertLess((models / 'cut.gguf').stat().st_size, golden.stat().st_size)
        done, records, _ = self.run_check(models=models, programs='goldens 300 gpu_models real SEED\n')
        self.assertEqual(done.returncode, 0, done.stdout)
        items = {record.get('item'): record.get('value') for record in records}
        self.assertLess(items["cut.gguf on the GPU: divergence from the CPU's reference"], 2e-3)
        self.assertIn('cut.gguf on the CPU: prefill of 20', items)

    def test_hopper(self):
        done, records, _ = self.run_check('law', capability='9.0')
        self.assertEqual(done.returncode, 0, done.stdout)
        items = {record.get('item'): record.get('value') for record in records}
        for element in ('bf16', 'f16', 'e4m3'):
            self.assertEqual(items[element + ' wgmma, A in registers: as A in shared memory'], 100)
            self.assertEqual(items[element + ' wgmma, A in shared memory: 8 columns as 256'], 100)

    def test_bench(self):
        """The table and the chart of a run; and of figures made up here, what is made of them."""
        out = self.root / 'bench'
        done = subprocess.run(['sh', self.folder / 'bench.sh', '--emulated', BUILD / 'tests' / 'gpu'], capture_output=True, text=True,
                              env={**os.environ, 'OUT': str(out), 'SEED': '7', 'EMULATED_CAPABILITY': '9.0'})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('EMULATED', (out / 'bench.md').read_text())
        xml.dom.minidom.parse(str(out / 'bench.svg'))

        def speed(item, value, unit):
            return {'section': 'speed', 'item': item, 'value': value, 'unit': unit}

        records = [{'section': 'device', 'item': 'name', 'text': 'a <card>'},
                   speed('BF16 4096 x 4096, 4096 tokens: gemm_bf16_n128, 9 blocks, splits of 4096', 88.0, "% of cuBLAS's speed"),
                   speed('BF16 4096 x 4096, 4096 tokens: gemm_hopper_bf16_n256, 9 blocks, splits of 4096', 98.0, "% of cuBLAS's speed"),
                   speed('Q4_K 8192 x 28672, 8 tokens: gemm_q4_k_n8, 9 blocks, splits of 2048', 84.0, '% of reading'),
                   speed('Q4_K 8192 x 28672, 1 tokens: gemm_q4_k_n8, 9 blocks, splits of 2048', 90.0, '% of reading'),
                   speed('FP8_FP8 4096 x 14336, 8192 tokens: gemm_hopper_fp8_fp8_n128, 9 blocks, splits of 14336', 1250.0, 'TFLOP/s'),
                   speed('f16, 8 x 1 tokens after 8191, 32 / 8 heads of 128', 56.0, '% of reading'),
                   speed('f16, 8 x 1 tokens after 8191, 32 / 8 heads of 128, wgmma', 86.0, '% of reading'),
                   speed('f16, 8 x 1 tokens after 8191, 128 / 1 heads of 576, wgmma', 44.0, '% of reading'),
                   speed('1B of BF16 on the GPU: decode of 1 after 0', 71.0, '% of reading the weights')]
        (out / 'results.json').write_text(json.dumps(records))
        subprocess.run([sys.executable, HERE / 'bench_table.py', out / 'results.json', out / 'bench.md', out / 'bench.svg'], check=True)
        rows = {(cells[1], cells[5]): cells[4::2] for cells in
                (re.split(r' *\| *', line) for line in (out / 'bench.md').read_text().splitlines() if line.startswith('|'))}
        self.assertEqual(rows['bf16 product 4096³', "% of cuBLAS's speed"], ['98', 'yes'])
        self.assertEqual(rows['Q4_K product, 1 to 64 rows, at least 64 MB of weights', '% of reading'], ['84–90, median 87', '1 of 2'])
        self.assertEqual(rows['fp8 e4m3 product, scales of 128, 2,048 rows and more, k at least 7,168', 'TFLOP/s'], ['1250', '0 of 1'])
        self.assertEqual(rows['attention, one token, f16, at least 256 MB of keys and values', '% of reading'], ['86', 'yes'])
        self.assertEqual(rows['latent attention (512 + 64), one token, 128 heads', '% of reading'][0], '44')
        self.assertEqual(rows['1B BF16, batch 1', '% of reading'], ['71', '0 of 1'])
        self.assertIn('a &lt;card&gt;', (out / 'bench.svg').read_text())

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
        self.assertEqual({path.name for path in (self.root / 'out').iterdir()},
                         {'results.json', 'records.jsonl', 'table.txt', 'log.txt'})
        self.assertIn('begun', (self.root / 'out' / 'log.txt').read_text())
        self.assertIn('3 failed', done.stdout)

    def test_the_whole_is_bounded(self):
        program = self.folder / 'bin' / 'slow'
        program.write_text('#!/bin/sh\nsleep 4\n')
        program.chmod(0o755)
        done, records, _ = self.run_check(programs='law 5 slow\nspeed 5 slow\n', seconds='6')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual([record['result'] for record in records if 'program' in record], ['passed', 'skipped'])

    def test_unknown_section(self):
        done, _, _ = self.run_check('nine')
        self.assertEqual(done.returncode, 2)


if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
