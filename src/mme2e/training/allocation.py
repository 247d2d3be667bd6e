"""Memory that is freed stays with the process, so that the next step need not ask the system for it again."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h)."""
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Makes the C library keep freed memory instead of giving it back to the system.

    A training step on the CPU allocates and frees hundreds of megabytes. glibc takes large blocks fresh from the system
    each time, and the system fills every page with zeros first: a quarter of a step's time where
    `benchmarks/mesm.py` was run. It holds for the whole process, whose memory then stays at its peak.

    Returns:
        Whether it was done; False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
