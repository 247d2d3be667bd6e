"""Fixtures that every test may use."""

import gc
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# A process of the suite runs on each core: threads of their own would only wait for each other. Before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NO_COMPILER = shutil.which("cc") is None
SHARED = Path(__file__).resolve().parents[2] / "shared"

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Whatever a script starts in its background is deaf to Ctrl-C, and so would be the programs that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first, so that short ones are left when a process of the suite runs out of work."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_sessionstart() -> None:
    """What is imported now stays to the end: the garbage collector need not walk through all of it again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What tests leave behind is looked for less often than by default."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a file beside the checkout that the project does not contain; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, which is not part of the project")
        return path

    return find


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder that all processes of a run of the suite read: who needs it first gives what fills it."""
    here = tmp_path_factory.getbasetemp()
    folder = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        path = folder / name
        with FileLock(folder / f".{name}.lock"):
            if not path.exists():
                begun = folder / f".{name}.begun"  # a run that failed half-way is made again
                shutil.rmtree(begun, ignore_errors=True)
                fill(begun)
                begun.rename(path)
        return path

    return make


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not painted, which takes most of the time of scoring: for tests that look at no picture."""
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig",
        lambda _, file, **__: (file.write_bytes if isinstance(file, Path) else file.write)(b"\x89PNG"),
    )


@pytest.fixture(params=["compiled", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs with the compiled kernels, and as on a machine without a C compiler."""
    if request.param == "torch":
        monkeypatch.setattr("mme2e.ops.compiler._library_or_none", lambda *_: None)
    elif NO_COMPILER:
        pytest.skip("there is no C compiler")
    return request.param
