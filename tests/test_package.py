"""The wheel alone, in an environment of its own: no checkout, no C compiler on PATH, no home that can be written."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {
    *(".py", ".c", ".h", ".typed", ".md", ".jinja", ".safetensors", ".npz", ".json", ".yaml", ".html", ".css"),
    *(".js", ".svg"),
}

ONE_AFTER_THE_OTHER = """
import ast, sys
import mme2e
from mme2e.__main__ import main
print(mme2e.__file__)
for words in ast.literal_eval(sys.argv[1]):
    if status := main(words):
        sys.exit(status)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A wheel and a source distribution, built from what git tracks."""
    folder = tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in tracked.decode().split("\0"):
        if name and (ROOT / name).is_file():
            copy = folder / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(folder / "source"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "dist"


@pytest.fixture(scope="module")
def environment(dist, tmp_path_factory):
    """A new environment with the wheel: its `bin` folder."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]  # which acts on that environment
    command = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    without_checkout = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(command, check=True, env=without_checkout)
    # The libraries of this environment, but not the checkout: a .pth file within a folder of a .pth file is not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture
def run(environment, tmp_path):
    """Runs the installed command in a folder of its own."""

    def run_command(*words: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": str(environment),
            "HOME": "/dev/null",
            "LANG": "C.UTF-8",
            "TMPDIR": str(tmp_path),
            "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        }
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    return run_command


def test_what_the_wheel_contains(dist):
    (wheel,) = dist.glob("*.whl")
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    package = {name for name in names if name.parts[0] == "mme2e"}
    metadata = {name for name in names if name.parts[0].endswith(".dist-info")}
    assert package | metadata == set(names)
    assert {name.suffix for name in package} <= SUFFIXES
    sources = {path.relative_to(ROOT / "src") for path in (ROOT / "src" / "mme2e").rglob("*.[ch]")}
    folders = [ROOT / "src" / "mme2e" / room / "weights" for room in ("faces", "voice")]
    weights = {path.relative_to(ROOT / "src") for folder in folders for path in folder.iterdir()}
    assert sources
    assert weights
    starter = {path.relative_to(ROOT / "src") for path in (ROOT / "src" / "mme2e" / "starter").rglob("*.*")}
    starter = {path for path in starter if path.suffix != ".pyc"}
    assert sources | weights | starter <= package


def test_what_the_source_distribution_contains(dist):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tops = {Path(name).parts[1] for name in tar.getnames() if len(Path(name).parts) > 1}
    expected = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "src"}
    assert tops - {"tests"} == expected


def test_from_nothing_to_a_prediction(run, environment, tmp_path):
    mme2e = str(environment / "mme2e")
    assert "usage: mme2e" in run(mme2e, "--help").stdout
    sizes = ["--model.tower_channels", "[4,4,8,8]", "--model.tower_dim", "16", "--model.trans_dim", "8"]
    words = ["--model.text.model", "scratch", "--model.text.hidden_dim", "16", "--model.text.num_heads", "2"]
    more = ["--model.name", "mesm", "--model.num_layers", "1", "--model.num_heads", "2", "--epochs", "1"]
    verbs = [
        ["sample", "raw", "--layout", "iemocap", "--utterances", "8"],
        ["prepare", "iemocap", "raw", "corpus"],
        ["train", "--data", "corpus", "--out", "run", "--num_workers", "0", *sizes, *words, *more],
    ]
    # One after the other in one process, which imports torch once.
    assert str(environment.parent) in run(str(environment / "python"), "-c", ONE_AFTER_THE_OTHER, repr(verbs)).stdout
    video = next((tmp_path / "raw").rglob("*.avi"))
    shown = run(mme2e, "predict", str(video), "--run", "run", "--end_s", "3", "--transcript", "hello there").stdout
    assert "neu" in shown
