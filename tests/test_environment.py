"""Where something was made."""

import subprocess
from pathlib import Path

import pytest
import torch

import mme2e.environment
from mme2e.environment import environment

ROOT = Path(mme2e.environment.__file__).resolve().parents[2]


def test_versions_and_devices() -> None:
    told = environment()
    assert told["packages"]["torch"] == torch.__version__
    assert told["threads"] == torch.get_num_threads()
    assert len(told["gpus"]) == torch.cuda.device_count()
    assert {"python", "platform", "processors", "cuda"} <= told.keys()


def test_state_of_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("the package does not run from a checkout")
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    told = environment()
    assert told["git_commit"] == head.stdout.strip()
    assert isinstance(told["git_changed_files"], list)


def test_changed_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mme2e.environment, "_git", lambda *words: " M src/mme2e/media/mel.py\n?? src/mme2e/new.py")
    assert environment()["git_changed_files"] == ["src/mme2e/media/mel.py", "src/mme2e/new.py"]


def test_without_git_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    told = environment()
    assert told["git_commit"] is None
    assert told["git_changed_files"] is None
