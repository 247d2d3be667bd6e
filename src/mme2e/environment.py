"""Where something was made or measured: machine, versions, commit. Without them a time says nothing."""

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "mme2e",
    "torch",
    "transformers",
    "tokenizers",
    "lightning",
    "numpy",
    "scipy",
    "pandas",
    "pydantic",
    "datasets",
    "pyarrow",
    "av",
    "safetensors",
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured.

    Attributes:
        processor: Name of the CPU.
        gpu: Name of the GPU; None where none was used.
        threads: Of PyTorch on the CPU.
        load_average: Programs that were ready to run in the last minute, when measuring began.
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
    versions = environment()
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


def environment() -> dict[str, Any]:
    """Python, platform, devices, package versions and, in a source checkout, the state of git.

    The numbers of a run are the same on the same machine: other devices or another number of threads may change them.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "packages": versions,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed_files": _changed_files(),
    }


def _changed_files() -> list[str] | None:
    """Files of the checkout that differ from the commit, new ones among the sources too; None outside of one."""
    changes = _git("status", "--porcelain", "--", "src", "main.py")
    return None if changes is None else [line[3:] for line in changes.splitlines()]


def _git(*words: str) -> str | None:
    """What git says about the checkout that this package runs from; None when it is installed or git is missing."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip()
