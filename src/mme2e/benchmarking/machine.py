"""The machine that something was measured on: without it a time says nothing."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from mme2e.runs.model_card import environment


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured.

    Attributes:
        processor: Name of the CPU.
        gpu: Name of the GPU; None where none was used.
        threads: Of PyTorch on the CPU.
        load_average: Programs that wanted to run in the last minute, when measuring began.
        python, torch, mme2e: Versions.
        commit: Of the source checkout; None when it is installed.
    """

    processor: str
    gpu: str | None
    threads: int
    load_average: float
    python: str
    torch: str
    mme2e: str
    commit: str | None

    def __str__(self) -> str:
        """One line for people."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        gpu = "" if self.gpu is None else f"; {self.gpu}"
        commit = "" if self.commit is None else f", commit {self.commit[:7]}"
        versions = f"torch {self.torch}, Python {self.python}, mme2e {self.mme2e}{commit}"
        return f"{self.processor}, {threads}, load {self.load_average:.1f} before{gpu}; {versions}"


def describe_machine(devices: Iterable[torch.device]) -> Machine:
    """This machine, now.

    Args:
        devices: That are used.
    """
    versions = json.loads(environment())
    gpus = [torch.cuda.get_device_name(device) for device in devices if device.type == "cuda"]
    return Machine(
        processor=_processor(),
        gpu=gpus[0] if gpus else None,
        threads=torch.get_num_threads(),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
        python=versions["python"],
        torch=torch.__version__,
        mme2e=versions["packages"]["mme2e"],
        commit=versions["git_commit"],
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
