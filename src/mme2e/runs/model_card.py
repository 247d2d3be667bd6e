"""What a run folder says for people: the model card, and the versions the run was made with."""

import json
import os
import platform
import subprocess
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import torch
import yaml

from mme2e.runs.info import RunInfo

_PACKAGES = (
    "mme2e",
    "torch",
    "transformers",
    "tokenizers",
    "lightning",
    "numpy",
    "scikit-learn",
    "datasets",
    "pyarrow",
    "av",
    "safetensors",
)
_MODALITIES = {"t": "words", "a": "sound", "v": "faces"}
_INPUTS = {
    "t": "the transcript",
    "a": "16 kHz sound in chunks of 0.4 s",
    "v": "one 48x48 face crop every {interval} ms",
}

_FEATURES = {
    "t": "{text_size} numbers a word",
    "a": "{acoustic_size} a step of sound",
    "v": "{visual_size} of the picture",
}
_USE = """\
```python
import mme2e

recognizer = mme2e.load("path/to/this/folder")
result = recognizer.predict("clip.mp4", transcript="what is said in it")
```"""
_USE_OF_BASELINE = """\
It reads hand-crafted features, not recordings: make those of a prepared corpus with `mme2e features CORPUS`, then
`mme2e evaluate path/to/this/folder --data CORPUS`. From Python: `recognizer = mme2e.load("path/to/this/folder")`."""


_CARD = """\
# {title}

A model that recognises emotions from {modalities}, trained {source} ({name};
[Dai et al. 2021](https://aclanthology.org/2021.naacl-main.417)). Made with mme2e.

- **Emotions**: {labels} ({kind}).
- **Input**: {inputs}.
- **Text encoder**: {text}.
- **Trained on**: {corpus}.
- **Thresholds**: {thresholds}.
{provenance}
## Use

{use}

`recognizer.model` is a plain PyTorch module that takes a `mme2e.data.Batch` and returns logits.
Scores, once measured with `mme2e evaluate`, are beside this file.

## Limits

It names the emotion that annotators of its training corpus would have named. It does not know what a person feels.
Expect lower scores on other people, languages, cameras and microphones than on the corpus it was trained on, and
measure before relying on it. Do not use it to decide about people.
"""


def model_card(info: RunInfo) -> str:
    """The model card of a run, in Markdown with the Hugging Face Hub's header."""
    used = info.model.modalities
    front = {"library_name": "mme2e", "tags": ["emotion-recognition", "multimodal", info.model.name]}
    thresholds = "0.5, not yet chosen on validation"
    if info.thresholds is not None:
        pairs = zip(info.label_names, info.thresholds, strict=True)
        thresholds = ", ".join(f"{name} {value:.2f}" for name, value in pairs) + " (chosen on validation)"
    if info.model.hand_crafted:
        inputs = "hand-crafted features, " + ", ".join(_FEATURES[letter] for letter in used)
        inputs = inputs.format(**asdict(info.model.features))
    else:
        inputs = ", ".join(_INPUTS[letter] for letter in used).format(interval=info.frame_interval_ms)
    body = _CARD.format(
        title=f"{info.model.name.upper()}: {', '.join(info.label_names)}",
        name=info.model.name.upper(),
        modalities=_listed([_MODALITIES[letter] for letter in used]),
        labels=", ".join(info.label_names),
        kind="none or several at once" if info.multi_label else "one at a time",
        source="over hand-crafted features" if info.model.hand_crafted else "end to end from raw signals",
        use=_USE_OF_BASELINE if info.model.hand_crafted else _USE,
        inputs=inputs,
        text=info.model.text.model if info.model.reads_tokens else "none",
        corpus=info.corpus or "unknown",
        thresholds=thresholds,
        provenance="".join(f"- **{key}**: {value}\n" for key, value in info.provenance.items()),
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{body}"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def environment() -> str:
    """Python, platform, devices, package versions and, in a source checkout, the state of git; as JSON text.

    The numbers of a run are the same on the same machine: other devices or another number of threads may change them.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    content = {
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
    return json.dumps(content, indent=2) + "\n"


def _changed_files() -> list[str] | None:
    """Files of the checkout that differ from the commit, new ones among the sources too; None outside of one."""
    told = _git("status", "--porcelain", "--", "src", "main.py")
    return None if told is None else [line[3:] for line in told.splitlines()]


def _git(*words: str) -> str | None:
    """What git says about the checkout that this package runs from; None when it is installed or git is missing."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip()
