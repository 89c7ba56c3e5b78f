"""Memory of the C library's allocator, from which XLA on CPU takes every step's buffers."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h


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
