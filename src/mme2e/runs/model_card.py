"""What a run folder says for people: the model card."""

from dataclasses import asdict

import yaml

from mme2e.runs.info import RunInfo

_MODALITIES = {"t": "text", "a": "audio", "v": "faces"}
_INPUTS = {
    "t": "the transcript",
    "a": "16 kHz audio in chunks of 0.4 s",
    "v": "one 48x48 face crop every {interval} ms",
}

_FEATURES = {
    "t": "{text_size} numbers a word",
    "a": "{acoustic_size} a step of audio",
    "v": "{visual_size} of the video",
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
