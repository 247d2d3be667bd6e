"""Imports every module alone and prints what went wrong; a process of its own runs it (see `test_imports.py`).

Third-party libraries are loaded once, and mme2e is forgotten before each import: so every module begins without any
other of mme2e. Heavy libraries cannot be forgotten: which of them a module loads is seen in a forked child.
"""

import importlib
import importlib.util
import json
import os
import sys
import warnings
from pathlib import Path

(PACKAGE,) = map(Path, importlib.util.find_spec("mme2e").submodule_search_locations)
FILES = [path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py")]
MODULES = sorted(".".join(path.parts).removesuffix(".__init__") for path in FILES)
NEEDS_TRITON = {"mme2e.ops.sparse_conv2d.triton_kernels"}
HEAVY = ("torch", "transformers", "lightning", "datasets", "pandas", "sklearn", "scipy", "matplotlib", "av", "ray")
# The heavy libraries that a module may load.
ALLOWED: dict[str, set[str]] = {
    "mme2e": set(),
    "mme2e.__main__": set(),
    "mme2e.config": set(),
    "mme2e.media.audio": {"av"},
    "mme2e.media.video": {"av"},
    "mme2e.corpora.readers": {"av"},
    "mme2e.faces.detector": {"torch", "av"},
    "mme2e.voice.segmenter": set(),
    "mme2e.voice.activity": {"torch"},
    "mme2e.models": {"torch", "av"},
    "mme2e.ops.sparse_conv2d": {"torch"},
    "mme2e.inference.timeline": set(),
    "mme2e.prediction.run": {"av"},
    "mme2e.writers.table": set(),
}
PRELOADED = (
    *("torch", "transformers", "lightning.pytorch", "datasets", "sklearn.metrics", "matplotlib.pyplot", "av"),
    *("pydantic", "jsonargparse", "pandas", "pyarrow.parquet", "scipy.optimize", "rich.progress", "PIL.Image"),
)


def import_alone(name: str) -> str:
    """Imports a module into a process without any of mme2e; what went wrong, or an empty string."""
    for loaded in [each for each in sys.modules if each == "mme2e" or each.startswith("mme2e.")]:
        del sys.modules[loaded]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            importlib.import_module(name)
    except BaseException as error:  # the others are imported, whatever happens
        return f"{name}: {type(error).__name__}: {error}"[:4000]
    return ""


def import_in_child(name: str) -> tuple[str, list[str]]:
    """Imports a module in a forked process; what went wrong, and the heavy libraries that the process has then."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        wrong = import_alone(name)
        os.write(write, json.dumps([wrong, [each for each in HEAVY if each in sys.modules]]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        wrong, heavy = json.load(pipe)
    os.waitpid(child, 0)
    return wrong, heavy


def main() -> None:
    """Writes what went wrong with each module, and the heavy libraries that those in `ALLOWED` load."""
    found = {name: import_in_child(name) for name, allowed in ALLOWED.items() if "torch" not in allowed}
    importlib.import_module("torch")
    found |= {name: import_in_child(name) for name, allowed in ALLOWED.items() if "torch" in allowed}
    for name in PRELOADED:
        importlib.import_module(name)
    skipped = set() if importlib.util.find_spec("triton") else NEEDS_TRITON
    wrong = {name: import_alone(name) for name in MODULES if name not in skipped}
    wrong |= {name: fault for name, (fault, _) in found.items() if fault}
    heavy = {name: loaded for name, (_, loaded) in found.items()}
    sys.stdout.write(json.dumps({"wrong": wrong, "heavy": heavy}))


if __name__ == "__main__":
    main()
