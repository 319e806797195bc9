#!/usr/bin/env python3
"""What our objects and the linked library need from outside.

usage: symbols.py objects ARCHIVE        our own release objects: nothing that ends, prints or changes the process
       symbols.py imports SHARED [exact] every import of the library is in imports.txt with its reason;
                                         exact: and every line there is one of its imports
       symbols.py needed SHARED NAME...  its DT_NEEDED are these at the most, and its SONAME has a version
       symbols.py archive ARCHIVE        the static archive shows the API and nothing else
"""

import pathlib
import re
import subprocess
import sys

FORBIDDEN = set('''abort exit _exit _Exit quick_exit atexit on_exit raise kill
    printf vprintf puts putchar putc fputs fputc fprintf vfprintf fwrite perror dprintf vdprintf
    __printf_chk __vprintf_chk __fprintf_chk __vfprintf_chk __dprintf_chk stdout stderr psignal
    signal sigaction sigprocmask bsd_signal sigset siginterrupt setlocale uselocale
    getenv __secure_getenv putenv setenv unsetenv clearenv environ __environ
    __assert_fail __assert assert_perror __assert_perror_fail err errx warn warnx error
    system popen chdir fchdir umask setrlimit srand srandom strtok strerror longjmp
    omp_set_num_threads omp_set_dynamic omp_set_nested omp_set_schedule
    _ZSt9terminatev __cxa_throw'''.split())
ONLY_IN = {'secure_getenv': 'base_environment.c.o', 'dlopen': 'cuda_driver.c.o', 'dlsym': 'cuda_driver.c.o'}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def objects(archive):
    count = 0
    for line in run('nm', '-A', '--undefined-only', archive).splitlines():
        place, symbol = line.rsplit(':', 1)[0], line.split()[-1].split('@')[0]
        member = re.split(r'[:\[\]/]', place)[-1] or place
        count += 1
        if symbol in FORBIDDEN:
            yield f'{place}: {symbol}'
        if symbol in ONLY_IN and ONLY_IN[symbol] not in line:
            yield f'{member}: {symbol}, which only {ONLY_IN[symbol]} may use'
    if count < 10:
        yield f'{archive}: {count} undefined symbols are too few to be true'
    for line in run('readelf', '-SW', archive).splitlines():
        if re.search(r'\s\.(preinit_array|init_array|fini_array|ctors|dtors)\b', line):
            yield f'{archive}: a constructor or destructor: {line.strip()}'


def imports(shared, exact=None):
    reasons = {}
    path = pathlib.Path(__file__).with_name('imports.txt')
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith('#'):
            symbols, _, reason = line.partition(':')
            if not reason.strip():
                yield f'imports.txt:{number}: no reason'
            for symbol in symbols.split():
                if symbol in reasons:
                    yield f'imports.txt:{number}: {symbol} is there twice'
                reasons[symbol] = reason
    wanted = {line.split()[-1].split('@')[0] for line in run('nm', '-D', '--undefined-only', shared).splitlines()}
    for symbol in sorted(wanted - set(reasons)):
        yield f'imports.txt has no reason for {symbol}'
    if exact:
        for symbol in sorted(set(reasons) - wanted):
            yield f'imports.txt: {symbol} is not imported any more'


def needed(shared, *allowed):
    dynamic = run('readelf', '-dW', shared)
    for name in re.findall(r'\(NEEDED\).*\[(.*)\]', dynamic):
        if name not in allowed:
            yield f'{shared} needs {name}'
    if not re.search(r'\(SONAME\).*\[libtransformer\.so\.\d+\]', dynamic):
        yield 'the SONAME has no number'
    for flag in ('NODELETE', 'NOW'):
        if not re.search(rf'FLAGS.*\b{flag}\b', dynamic):
            yield f'not linked with -z {flag.lower()}'
    if 'GNU_RELRO' not in run('readelf', '-lW', shared):
        yield 'not linked with -z relro'
    if re.search(r'\(TEXTREL\)|\(RPATH\)|\(RUNPATH\)', dynamic):
        yield 'has text relocations or a search path'
    if re.search(r'GNU_STACK.*RWE', run('readelf', '-lW', shared)):
        yield 'asks for an executable stack'


def archive(path):
    for line in run('nm', '--defined-only', '--extern-only', path).splitlines():
        if len(line.split()) == 3 and not line.split()[-1].startswith('transformer_'):
            yield f'{path} shows {line.split()[-1]}'


def main():
    problems = list(globals()[sys.argv[1]](*sys.argv[2:]))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
