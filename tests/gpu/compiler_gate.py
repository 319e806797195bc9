#!/usr/bin/env python3
"""What the CUDA compiler made of the kernels: nothing spilled, nothing serialized, the tensor cores used; and a
library that needs no driver to be loaded.

usage: compiler_gate.py BUILD        the folder of a build with -Dcuda=enabled

Reads what the build leaves in BUILD/cuda: NAME.ptxas, the compiler's words on each source, and NAME.fatbin. Instructions
are looked at where cuobjdump and nvdisasm are: on the PATH, or from the packages nvidia-cuda-cuobjdump and
nvidia-cuda-nvdisasm, installed for this Python or in the folder that CUDA_TOOLS names.
"""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import ptxas_report

BUILD = pathlib.Path('.')
# Kernels in whose inner loops a spill costs; those of them that multiply no matrices.
HOT = re.compile(r'^(gemm|attention)')
# Of the persistent kernel, which calls them: what its loop keeps over a call is no loss. Most bytes of spills each:
# attention may put away the counters of its loops over items and splits, which the loop over pages leaves alone.
HOT_TASKS = {'product_task': 0, 'attention_task': 32}
NO_PRODUCT = re.compile(r'^(gemm_groups|attention_merge)$')
TENSOR = {'sm_80': re.compile(r'\bHMMA\b'), 'sm_90a': re.compile(r'\b[HQ]GMMA\b')}
LOCAL = re.compile(r'\b(?:LDL|STL)\b')
NEEDED_NEVER = re.compile(r'^lib(cuda|cudart|cublas|cublasLt|nvrtc|nvJitLink|stdc\+\+)\.so')

SPILLS = r'''
extern "C" __global__ void __launch_bounds__(1024, 2) spills(const float *from, float *to, int n) {
    float a[48];
    for (int i = 0; i < 48; i++) a[i] = from[i * n + threadIdx.x];
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int i = 0; i < 48; i++) a[i] = __fmaf_rn(a[i], a[(i * 7 + 1) % 48], from[j + i]);
    for (int i = 0; i < 48; i++) to[i * n + threadIdx.x] = a[i];
}
extern "C" __global__ void has_frame(const float *from, float *to, int n) {
    float a[64];
    for (int i = 0; i < 64; i++) a[i] = from[i * n];
    for (int i = 0; i < n; i++) a[i * i * n % 64] += a[i % 64];
    to[0] = a[n];
}
extern "C" __global__ void has_none(const float *from, float *to) { to[threadIdx.x] = 2 * from[threadIdx.x]; }
'''
LOST = '''ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to ...
ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored to maintain minimum register requirements.
ptxas warning : Value of threads per SM for entry k is out of range. .minnctapersm will be ignored
'''


def find_nvcc():
    folder = pathlib.Path(os.environ.get('CUDA_HOME', os.environ.get('CUDA_PATH', '/usr/local/cuda')))
    return shutil.which('nvcc') or shutil.which('nvcc', path=str(folder / 'bin'))


def disassembler():
    """cuobjdump and a PATH on which it finds nvdisasm, or None."""
    roots = [os.environ.get('CUDA_TOOLS', ''), *sys.path]
    folders = [str(path) for root in roots if root for path in sorted(pathlib.Path(root).glob('nvidia/*/bin'))]
    path = os.pathsep.join([*folders, os.environ.get('PATH', ''), '/usr/local/cuda/bin'])
    if not shutil.which('cuobjdump', path=path) or not shutil.which('nvdisasm', path=path):
        return None
    return [shutil.which('cuobjdump', path=path), '-sass'], {**os.environ, 'PATH': path}


def instructions(tool, image, arch):
    """kernel -> its disassembly, of the code for one arch."""
    command, environment = tool
    output = subprocess.run([*command, '-arch', arch, str(image)], capture_output=True, text=True, env=environment)
    found, name = {}, None
    for line in output.stdout.splitlines():
        if match := re.match(r'\s*Function : (\w+)', line):
            name = match.group(1)
            found[name] = []
        elif name:
            found[name].append(line)
    return {name: '\n'.join(lines) for name, lines in found.items()}


class Compiler(unittest.TestCase):
    def reports(self):
        paths = sorted((BUILD / 'cuda').rglob('*.ptxas'))
        self.assertTrue(paths, f'no *.ptxas under {BUILD}/cuda: the build keeps what the compiler says')
        return {path.stem: path.read_text(errors='replace') for path in paths}

    def test_no_spills(self):
        seen = 0
        for source, text in self.reports().items():
            for kernel in ptxas_report.kernels(text):
                if HOT.match(kernel.name):
                    seen += 1
                    with self.subTest(source=source, kernel=kernel.name, arch=kernel.arch):
                        self.assertFalse(kernel.wastes(), str(kernel))
        self.assertGreater(seen, 0, 'no kernel of GEMM or attention in what the compiler says')
        print(f'{seen} kernels of GEMM and attention spill nothing and have no stack frame')

    def test_no_spills_in_tasks(self):
        seen = dict.fromkeys(HOT_TASKS, 0)
        for source, text in self.reports().items():
            for name, stack, stores, loads in ptxas_report.functions(text):
                for task, most in HOT_TASKS.items():
                    if task not in name:
                        continue
                    seen[task] += 1
                    with self.subTest(source=source, function=name):
                        self.assertEqual(stack, 0, 'stack frame')
                        self.assertLessEqual(max(stores, loads), most, 'spill stores or loads')
        self.assertGreater(min(seen.values()), 0, f'not all tasks in what the compiler says: {seen}')
        print(f'tasks of the persistent kernel without a stack frame: {seen}')

    def test_no_performance_lost(self):
        for source, text in self.reports().items():
            with self.subTest(source=source):
                self.assertEqual(ptxas_report.losses(text), [])

    def test_tensor_cores(self):
        tool = disassembler()
        if not tool:
            self.skipTest('no cuobjdump or no nvdisasm: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm')
        images = sorted((BUILD / 'cuda').rglob('*.fatbin')) + sorted((BUILD / 'cuda').rglob('*.cubin'))
        for arch, product in TENSOR.items():
            seen, without = 0, []
            for image in images:
                for kernel, text in instructions(tool, image, arch).items():
                    if not HOT.match(kernel) or NO_PRODUCT.search(kernel) or ('hopper' in kernel) != (arch == 'sm_90a'):
                        continue
                    seen += 1
                    if not product.search(text):
                        without.append(kernel)
                    with self.subTest(kernel=kernel, arch=arch):
                        self.assertFalse(LOCAL.findall(text), 'local memory is used')
            self.assertGreater(seen, 0, f'no kernel of GEMM or attention for {arch} under {BUILD}/cuda')
            self.assertEqual(sorted(set(without)), [], f'no {product.pattern} in these')
            print(f'{seen} kernels of GEMM and attention for {arch} have {product.pattern}')


class Library(unittest.TestCase):
    def library(self):
        return next(iter(sorted((BUILD / 'lib').glob('libtransformer.so*'))))

    def test_needs_no_cuda(self):
        output = subprocess.run(['readelf', '-d', self.library()], check=True, capture_output=True, text=True).stdout
        needed = re.findall(r'\(NEEDED\).*\[(.+)\]', output)
        self.assertTrue(needed)
        self.assertEqual([name for name in needed if NEEDED_NEVER.match(name)], [])

    def test_answers_without_a_driver(self):
        """In a process of its own, whose loader finds no driver first where there is none."""
        script = (
            'import ctypes, sys\n'
            'library = ctypes.CDLL(sys.argv[1])\n'
            'library.transformer_build_info.restype = ctypes.c_char_p\n'
            'print(library.transformer_device_count(), library.transformer_build_info().decode())\n')
        output = subprocess.run([sys.executable, '-c', script, str(self.library())], capture_output=True, text=True)
        self.assertEqual(output.returncode, 0, output.stderr)
        count, _, information = output.stdout.partition(' ')
        self.assertGreaterEqual(int(count), 1)
        self.assertRegex(information, r'(?i)cuda')
        try:
            ctypes.CDLL('libcuda.so.1')
        except OSError:
            self.assertEqual(int(count), 1, 'a GPU without a driver')
            self.assertRegex(information, r'(?i)driver')


class GateItself(unittest.TestCase):
    def test_sees_spills_and_frames(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / 'spills.cu'
            source.write_text(SPILLS)
            output = subprocess.run(
                [find_nvcc(), '-arch=sm_80', '-cubin', '-Xptxas', '-v', '-o', source.with_suffix('.cubin'), source],
                check=True, capture_output=True, text=True)
            found = {kernel.name: kernel for kernel in ptxas_report.kernels(output.stdout + output.stderr)}
        self.assertEqual(set(found), {'spills', 'has_frame', 'has_none'})
        self.assertGreater(found['spills'].spill_stores, 0)
        self.assertGreater(found['has_frame'].stack, 0)
        self.assertFalse(found['has_none'].wastes())

    def test_sees_lost_performance(self):
        self.assertEqual(len(ptxas_report.losses(LOST)), 2)


if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    BUILD = pathlib.Path(sys.argv.pop(1))
    if not find_nvcc():
        print('skipped: nvcc is not installed')
        sys.exit(77)
    unittest.main()
