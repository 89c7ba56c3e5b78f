"""Memory of the C library's allocator, from which XLA on CPU takes every step's buffers."""

import ctypes
import functools
import re
import threading

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
_COMPILED = "/jax/core/compile/backend_compile_duration"
_LONG_S = 2.0
_SORTED_BYTES, _SCRAP_BYTES, _ROUNDS = 2**10, 2**20, 4
_keeps = threading.Event()


def keep_freed_memory() -> None:
    """Makes the process keep what a step frees for the next one, where the C library is glibc.

    By default glibc returns large buffers to the kernel at once, which then clears the same pages again in every step:
    a third to a half of the time of a small network's step went there. To be called before threads are started, since
    those have heaps of their own, of which none can keep more than 64 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        # However large: a threshold would have to stay below 2 GiB, which the buffers of long signals exceed.
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
        _keeps.set()


@functools.cache
def leave_scraps_of_compilers() -> None:
    """Has `leave_scraps` called after every long compilation of JAX, where freed memory is kept."""
    import jax  # noqa: PLC0415 - programs that compile nothing start without it

    def listen(event: str, duration_secs: float, **_: object) -> None:
        if event == _COMPILED and duration_secs > _LONG_S and _keeps.is_set():
            leave_scraps()

    jax.monitoring.register_event_duration_secs_listener(listen)


def leave_scraps() -> int:
    """Takes small pieces of free memory out of use for good, and returns their bytes; the kernel gets their pages.

    A compiler leaves tens of thousands of free pieces between what it has made, of as many sizes. glibc keeps all from
    1 KiB on in lists sorted by size, and walks along them under its lock whenever a step takes or frees a buffer: that
    was a fifth of a step of `rhythm`. Steps ask for sizes of their own, and find them among what they free.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.malloc_trim(0)
    left = 0
    # What is cut from a piece to the smallest size of its list stays free, and is taken in the next round.
    for _ in range(_ROUNDS):
        for smallest, largest, count in sorted(_free_pieces(libc), reverse=True):
            if smallest >= _SORTED_BYTES and largest <= _SCRAP_BYTES:
                for _ in range(count):
                    libc.malloc(smallest - ctypes.sizeof(ctypes.c_size_t))
                left += count * smallest
    return left


def _free_pieces(libc: ctypes.CDLL) -> list[tuple[int, int, int]]:
    """Smallest and largest size in bytes and the number of pieces in each of the allocator's lists."""
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    libc.open_memstream.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    found = re.findall(rb'<size from="(\d+)" to="(\d+)" total="\d+" count="(\d+)"', text.value or b"")
    libc.free(text)
    return [(int(smallest), int(largest), int(count)) for smallest, largest, count in found]
