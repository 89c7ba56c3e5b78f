"""Freed memory is kept, so that a second buffer needs no new pages; what a compiler leaves in pieces is left alone."""

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

LEAVE_SCRAPS = """
import ctypes, random
from ecgjax import memory

memory.keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
draw = random.Random(0)
pieces = [libc.malloc(ctypes.c_size_t(draw.randrange(2_000, 200_000))) for _ in range(2_000)]
for piece in pieces[::2]:
    libc.free(piece)

def sorted_pieces():
    return sum(count for smallest, _, count in memory._free_pieces(libc) if smallest >= 1024)

before = sorted_pieces()
left = memory.leave_scraps()
print(before, sorted_pieces(), left)
"""

COMPILE = """
import jax
from ecgjax import memory

left = []
memory._LONG_S, memory.leave_scraps = {long_s}, lambda: left.append(True)
if {keep}:
    memory.keep_freed_memory()
memory.leave_scraps_of_compilers()
memory.leave_scraps_of_compilers()
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
print(len(left))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")


def printed(program):
    """The numbers that `program` prints, run in a process with an allocator of its own."""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(word) for word in answer.stdout.split()]


def test_buffers_are_used_again():
    (kept,), (returned,) = (printed(COUNT_FAULTS.format(keep=keep)) for keep in (True, False))
    assert kept < 0.1 * returned


def test_scraps_are_taken_out_of_the_lists():
    before, after, left_bytes = printed(LEAVE_SCRAPS)
    assert before > 900
    assert after < 0.1 * before
    assert left_bytes > 0.9 * 1_000 * 100_000


@pytest.mark.parametrize(("keep", "long_s", "called"), [(True, 0.0, True), (True, 60.0, False), (False, 0.0, False)])
def test_scraps_are_left_after_long_compilations_where_memory_is_kept(keep, long_s, called):
    (found,) = printed(COMPILE.format(keep=keep, long_s=long_s))
    assert (found > 0) == called
