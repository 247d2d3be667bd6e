"""A benchmark on the processor's own vector instructions and, in the same run, on AVX2 alone.

A ratio that was measured with AVX-512 is not that of a machine without it. So a benchmark measures in a process of its
own for each instruction set: one in which PyTorch, oneDNN, MKL and our own kernels may use all there is, and one in
which they keep to AVX2.
"""

import json
import os
import platform
import subprocess
import sys
from typing import Any

from mme2e.ops import compiler

NATIVE, AVX2 = "native", "avx2"
_VARIABLE = "BENCHMARK_INSTRUCTION_SET"
_LIMITS = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def instruction_sets() -> tuple[str, ...]:
    """Those to measure: the processor's own and, on x86, AVX2."""
    return (NATIVE, AVX2) if platform.machine() in ("x86_64", "AMD64") else (NATIVE,)


def measure_in_process(instruction_set: str, script: str, *arguments: str, **variables: str) -> Any:
    """Runs `python script arguments...` with an instruction set; it calls `keep_to_instruction_set` first.

    Args:
        instruction_set: "native" or "avx2".
        script: The file of a benchmark.
        arguments: For it.
        variables: Added to its environment.

    Returns:
        What it prints, JSON.
    """
    limits = _LIMITS if instruction_set == AVX2 else {}
    environment = os.environ | {_VARIABLE: instruction_set} | limits | variables
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)  # noqa: S603
    return json.loads(done.stdout)


def keep_to_instruction_set() -> str:
    """Makes our own kernels keep to what this process was started with, before the first is compiled or loaded.

    Returns:
        "native" or "avx2".
    """
    chosen = os.environ.get(_VARIABLE, NATIVE)
    if chosen == AVX2:
        compiler.OPTIONS = tuple(  # type: ignore[assignment]  # as many as before
            "-march=x86-64-v3" if each == "-march=native" else each for each in compiler.OPTIONS
        )
    return chosen
