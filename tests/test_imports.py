"""Every module can be imported alone, without a warning, and brings along no heavy library that it does not use."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
from importing_alone import ALLOWED, MODULES, NEEDS_TRITON
from PIL import Image
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e.generated.encoding import write_video

pytestmark = pytest.mark.slow
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

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


@cache
def _loaded_after(statements: str) -> set[str]:
    """Top names of the modules of a fresh process that are not of the standard library."""
    names = "{name.split('.')[0] for name in sys.modules} - {*sys.stdlib_module_names}"
    script = f"import json, sys\n{statements}\nprint(json.dumps([top for top in {names} if top[0] != '_']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def imported() -> dict[str, dict[str, object]]:
    """What `importing_alone.py` prints: this process has threads, which a fork does not take along."""
    program = Path(__file__).with_name("importing_alone.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@needs_fork
def test_every_module_alone(imported):
    assert set(MODULES) - set(imported["wrong"]) <= NEEDS_TRITON
    assert [wrong for wrong in imported["wrong"].values() if wrong] == []


@needs_fork
@pytest.mark.parametrize("module", ALLOWED)
def test_a_room_loads_no_heavy_library_of_another(imported, module):
    assert set(imported["heavy"][module]) <= ALLOWED[module]
