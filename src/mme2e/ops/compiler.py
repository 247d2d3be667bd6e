"""C kernels, compiled for this machine when they are first used.

They require a C compiler that knows OpenMP (`cc`, or what the variable CC names). The result is kept in the user's
cache (see `library_cache`) under a name that depends on source, options, compiler and processor, so that nothing stale
is ever loaded. Threads wait for each other: a process compiles and loads each kernel once.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops import library_cache

OPTIONS = (
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fopenmp",
    "-shared",
    "-fPIC",
    "-std=gnu11",
)
"""No option that changes what NaN does."""

REALS = {torch.float32: "float", torch.float64: "double"}

_LOGGER = logging.getLogger(__name__)


_LOADING = threading.RLock()


class CompilationError(UserError):
    """There is no working C compiler, or what it makes cannot be loaded."""


def library(source: Path, dtype: torch.dtype, options: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compiles a file, or finds it compiled.

    Args:
        source: C file with kernels over the type REAL; it may include headers of the folder above its own.
        dtype: What REAL is: float32 or float64.
        options: For the compiler, after `OPTIONS`.

    Raises:
        CompilationError: There is no C compiler, it fails (the message has its first complaint), or the library cannot
            be loaded.
    """
    with _LOADING:
        return _library(source, dtype, options)


@cache
def _library(source: Path, dtype: torch.dtype, options: tuple[str, ...]) -> ctypes.CDLL:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not compiler or shutil.which(compiler[0]) is None:
        raise CompilationError(f"there is no C compiler '{' '.join(compiler)}'")
    command = [*compiler, *OPTIONS, *options, f"-DREAL={REALS[dtype]}"]
    texts = [each.read_text(encoding="utf-8") for each in (source, *sorted(source.parent.parent.glob("*.h")))]
    content = [*texts, *command, _run([*compiler, "--version"]), _processor()]
    name = f"{source.stem}-{hashlib.sha256(chr(0).join(content).encode()).hexdigest()[:24]}.so"
    try:
        return library_cache.load(name, lambda path: _compile(source, command, path))
    except OSError as error:
        raise CompilationError(str(error)) from error


def _compile(source: Path, command: Sequence[str], path: Path) -> None:
    _run([*command, str(source), "-o", str(path)])


def _library_or_none(source: Path, dtype: torch.dtype) -> ctypes.CDLL | None:
    with _LOADING:
        return _library_or_warning(source, dtype)


@cache
def _library_or_warning(source: Path, dtype: torch.dtype) -> ctypes.CDLL | None:
    try:
        return library(source, dtype)
    except CompilationError as error:
        _warn_once(str(error))
        return None


@cache
def _warn_once(reason: str) -> None:
    _LOGGER.warning("%s; slower paths are taken", reason)


def can_compile(source: Path, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernels can compute there; compiles them if need be, and logs once when that fails."""
    return device.type == "cpu" and dtype in REALS and _library_or_none(source, dtype) is not None


def call(
    source: Path, function: str, dtype: torch.dtype, tensors: Sequence[Tensor | None], sizes: Sequence[int] = ()
) -> int:
    """Calls a kernel.

    Args:
        source: Its file.
        function: Its name; it returns a long.
        dtype: What REAL is.
        tensors: Its first arguments: contiguous, on the CPU; None is a null pointer.
        sizes: Its other arguments.

    Returns:
        What it returns.

    Raises:
        CompilationError: It cannot be compiled.
    """
    kernel = getattr(library(source, dtype), function)
    kernel.restype = ctypes.c_long
    pointers = (ctypes.c_void_p(None if each is None else each.data_ptr()) for each in tensors)
    return kernel(*pointers, *map(ctypes.c_long, sizes))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
    except OSError as error:
        raise CompilationError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
        raise CompilationError(f"{command[0]} failed: {complaint.strip()}")
    return done.stdout


def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}))
