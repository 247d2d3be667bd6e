"""Every module can be imported alone, without a warning, and brings along no heavy library that it does not use."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.generated.encoding import write_video

MODULES = sorted(module.name for module in pkgutil.walk_packages(mme2e.__path__, "mme2e."))
NEEDS_TRITON = {"mme2e.ops.sparse_conv2d.triton_kernels"}
HEAVY = ("torch", "transformers", "lightning", "datasets", "pandas", "sklearn", "scipy", "matplotlib", "av", "ray")
# Third-party libraries are loaded once, by the parent; the children load nothing but mme2e.
PRELOADED = (
    *(
        "torch",
        "transformers",
        "lightning.pytorch",
        "datasets",
        "sklearn.metrics",
        "matplotlib.pyplot",
        "av",
        "pydantic",
    ),
    *("pydantic", "jsonargparse", "pandas", "pyarrow.parquet", "scipy.optimize", "rich.progress", "PIL.Image"),
)


def _import_in_child(name: str) -> str:
    """Imports one module in a forked process without any of mme2e; what went wrong, or an empty string."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        for loaded in [each for each in sys.modules if each == "mme2e" or each.startswith("mme2e.")]:
            del sys.modules[loaded]
        try:
            warnings.simplefilter("error")
            importlib.import_module(name)
            found = ""
        except BaseException as error:  # the child must end here, whatever happens
            found = f"{name}: {type(error).__name__}: {error}"
        os.write(write, found.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


IMPORT_EACH_ALONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_imports import MODULES, NEEDS_TRITON, PRELOADED, _import_in_child
import importlib, importlib.util
for name in PRELOADED:
    importlib.import_module(name)
skipped = set() if importlib.util.find_spec("triton") else NEEDS_TRITON
print(json.dumps([found for name in MODULES if name not in skipped if (found := _import_in_child(name))]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_module_alone():
    # A process of its own: this one has threads, which a fork does not take along.
    command = [sys.executable, "-c", IMPORT_EACH_ALONE, os.path.dirname(__file__)]  # noqa: PTH120
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def _heavy_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


ANSWERING = {
    *("av", "cython_runtime", "filelock", "mme2e", "numpy", "safetensors", "tokenizers", "torch", "yaml"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
}
"""What an answer may load beside the standard library and what `import torch` loads itself."""

UNUSED = {
    *("transformers", "lightning", "pytorch_lightning", "torchmetrics", "datasets", "sklearn", "scipy", "matplotlib"),
    *("pandas", "ray", "tensorboard", "optuna", "huggingface_hub", "jinja2", "pyarrow"),
}
ANSWER = """
import mme2e
result = mme2e.load({run!r}, device="cpu").predict({clip!r}, transcript="so happy")
assert result.used == ("text", "acoustic", "visual"), result
"""
COMMAND = """
from mme2e.__main__ import main
assert main(["predict", {clip!r}, "--run", {run!r}, "--transcript", "so happy", "--device", "cpu"]) == 0
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a face and a tone."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        portrait = np.asarray(image.convert("RGB").resize((256, 300)))
    tone = (3000 * np.sin(np.arange(16_000) / 10)).astype(np.int16)
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, [portrait] * 13, tone[:, None])
    return path


@pytest.mark.parametrize("name", ["fe2e", "mesm"])
def test_an_answer_loads_little_besides_torch(name: str, clip: Path, tmp_path: Path) -> None:
    write_tiny_run(tmp_path / "run", model=replace(TINY_MODEL, name=name))
    loaded = _loaded_after(ANSWER.format(run=str(tmp_path / "run"), clip=str(clip)))
    assert {"av", "tokenizers", "torch"} <= loaded
    assert loaded - ANSWERING - _loaded_after("import torch") == set()
    assert not loaded & UNUSED


def test_the_command_loads_little_more(clip: Path, tmp_path: Path) -> None:
    write_tiny_run(tmp_path / "run")
    assert not _loaded_after(COMMAND.format(run=str(tmp_path / "run"), clip=str(clip))) & UNUSED


def _loaded_after(statements: str) -> set[str]:
    """Top names of the modules of a fresh process that are not of the standard library."""
    names = "{name.split('.')[0] for name in sys.modules} - {*sys.stdlib_module_names}"
    script = f"import json, sys\n{statements}\nprint(json.dumps([top for top in {names} if top[0] != '_']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("mme2e", set()),
        ("mme2e.__main__", set()),
        ("mme2e.config", set()),
        ("mme2e.media.audio", {"av"}),
        ("mme2e.media.video", {"av"}),
        ("mme2e.corpora.readers", {"av"}),
        ("mme2e.faces.detector", {"torch", "av"}),
        ("mme2e.models", {"torch", "av"}),
        ("mme2e.ops.sparse_conv2d", {"torch"}),
    ],
)
def test_a_room_loads_no_heavy_library_of_another(module, allowed):
    assert _heavy_after(f"import {module}") <= allowed
