"""Fixtures that every test may use."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

# A process of the suite runs on each core: threads of their own would only wait for each other. Before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NO_COMPILER = shutil.which("cc") is None
SHARED = Path(__file__).resolve().parents[2] / "shared"

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Whatever a script starts in its background is deaf to Ctrl-C, and so would be the programs that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a file beside the checkout that the project does not contain; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, which is not part of the project")
        return path

    return find


@pytest.fixture(params=["compiled", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs with the compiled kernels, and as on a machine without a C compiler."""
    if request.param == "torch":
        monkeypatch.setattr("mme2e.ops.compiler._library_or_none", lambda *_: None)
    elif NO_COMPILER:
        pytest.skip("there is no C compiler")
    return request.param
