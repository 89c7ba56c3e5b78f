"""Freed memory is kept: a second buffer of the same size needs no new pages."""

import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import ctypes, resource
from ecgjax.memory import keep_freed_memory

if {keep}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def fill():
    size = 2**26
    buffer = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(buffer, 1, size)
    libc.free(ctypes.c_void_p(buffer))

fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    command = [sys.executable, "-c", COUNT_FAULTS.format(keep=keep)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_buffers_are_used_again():
    assert faults(True) < 0.1 * faults(False)
