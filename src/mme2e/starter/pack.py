"""A trained run as the small model of the package: half precision, temperatures, a card."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from mme2e.config import ModelSettings
from mme2e.data.corpus import load_corpus
from mme2e.data.rows import digest
from mme2e.environment import environment
from mme2e.errors import UserError
from mme2e.evaluation.predictions import Predictions
from mme2e.preparation.copying import whole_folder
from mme2e.preparation.merging import MARK
from mme2e.records import load, plain, to_json
from mme2e.runs.confidence import Confidence
from mme2e.runs.folder import CARD_FILE, LoadedRun, load_run, save_run
from mme2e.runs.info import CONFIG_FILE, RunInfo, read_info
from mme2e.starter import validation
from mme2e.starter.abstention import plot_curves
from mme2e.starter.blending import blend
from mme2e.starter.card import TEMPLATE, WEIGHTS_LICENSE, CardFacts, render_card

MOST_BYTES = 40_000_000
"""A packed model may have so much."""

PACKED_FROM = "packed from"
"""In the provenance of a packed run: checksum of the weights that it was made of, and what else it rests on."""

SCORES_FILE, ABSTENTION_FILE = "scores.json", "abstention.json"
POOLED = "pooled"


def pack_starter(
    run: Path,
    out: Path,
    *,
    corpora: Mapping[str, Path],
    card: CardFacts,
    template: str | None = None,
    picture: Path | None = None,
    transfer: Path | None = None,
    branches: Mapping[str, Path] | None = None,
    share: float = 0.0,
    most_bytes: int = MOST_BYTES,
) -> RunInfo:
    """Writes a run folder with weights of 16 bits, calibrated on validation, and its card.

    Statistics of batch normalisation and other buffers keep 32 bits. Temperatures, the level below which the model
    abstains, and all scores are those of the rounded weights. Beside a run's files the folder gets `scores.json`,
    `abstention.json` and `WEIGHTS_LICENSE.md`.

    Args:
        run: Trained with `ce`.
        out: Run folder to write, new or empty; what was packed there before is replaced, when it is of something else.
        corpora: Prepared corpora whose validation splits are used: t, a and v for text, audio and faces alone, all for
            several modalities.
        card: What the card says.
        template: Of the card, in Jinja; the package's when None.
        picture: PNG to draw of accuracy by coverage; none when None.
        transfer: JSON file with scores on collections that were left out of training, by name: utterances, accuracy,
            uar; it may be missing.
        branches: Runs that the branches began with, by letter, to blend with; see `blend`.
        share: Of them in the packed weights.
        most_bytes: That the folder may have.

    Returns:
        What the new run folder says about itself.

    Raises:
        UserError: The run cannot be packed, run and corpora do not fit, or `out` holds something else.
    """
    template = TEMPLATE.read_text(encoding="utf-8") if template is None else template
    loaded = load_run(run)
    info = loaded.info
    left_out = load(transfer) if transfer is not None and transfer.is_file() else {}
    blended = {letter: read_info(folder).weights_sha256 for letter, folder in (branches or {}).items()}
    key = _key(info, corpora, card, template, [left_out, blended, share])
    if _packed_before(out, key):
        return read_info(out)
    blend(loaded.model, branches or {}, share)
    _round(loaded.model)
    found = validation.predict_sets(loaded, corpora)
    singles = [letters for letters in found if len(letters) == 1]
    if not singles:
        raise UserError(f"{run} cannot be validated: no corpus has one of its modalities '{info.model.modalities}'")
    temperatures = {letters: round(_temperature(letters, each), 4) for letters, each in found.items()}
    calibrated = {
        letters: replace(each, probabilities=validation.tempered(each.probabilities, temperatures[letters]))
        for letters, each in found.items()
    }
    pooled = validation.pooled([calibrated[letters] for letters in singles])
    level = validation.abstain_level(pooled.probabilities.max(axis=1))
    packed = replace(
        info,
        model=_without_folders(info),
        confidence=Confidence(temperatures=temperatures, abstain_below=level),
        provenance={**info.provenance, **_provenance(card), PACKED_FROM: key},
    )
    scores = {
        "sets": {
            letters: _scores(found[letters], each, letters, card, packed.label_names)
            for letters, each in calibrated.items()
        },
        "transfer": left_out,
    }
    curves = {letters: validation.curve(each) for letters, each in {**calibrated, POOLED: pooled}.items()}
    abstention = {"decided": validation.DECIDED_SHARE, "level": level, "curves": curves}
    if out.is_dir() and any(out.iterdir()):
        shutil.rmtree(out)  # packed of something else, see `_packed_before`
    with whole_folder(out) as new:
        _write(new, loaded, packed)
        (new / SCORES_FILE).write_text(to_json(scores), encoding="utf-8")
        (new / ABSTENTION_FILE).write_text(to_json(abstention), encoding="utf-8")
        (new / CARD_FILE).write_text(render_card(packed, card, plain(scores), template), encoding="utf-8")
        shutil.copyfile(WEIGHTS_LICENSE, new / WEIGHTS_LICENSE.name)
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        if size > most_bytes:
            raise UserError(f"{run} takes {size} bytes in half precision; a starter may have {most_bytes}")
    load_run(out)
    if picture is not None:
        plot_curves(curves, level, picture)
    return read_info(out)


def _temperature(letters: str, found: Predictions) -> float:
    """Of a set of modalities; of several at least 1.

    In composites all modalities show the same emotion, which makes a model look less sure than it may be. People are
    not like that: what is known from composites alone must not make it surer.
    """
    temperature = validation.fit_temperature(found.probabilities, found.labels)
    return temperature if len(letters) == 1 else max(1.0, temperature)


def halve(model: nn.Module) -> None:
    """Makes the parameters of a model 16 bits wide; it can be saved so, but not computed with.

    Raises:
        UserError: A weight is too large for 16 bits.
    """
    for name, parameter in model.named_parameters():
        half = parameter.data.half()
        if not torch.isfinite(half).all():
            raise UserError(f"{name} has weights beyond {torch.finfo(torch.float16).max:g}, the most of 16 bits")
        parameter.data = half


def _round(model: nn.Module) -> None:
    """Gives the parameters the values that they have in 16 bits."""
    halve(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.float()


def _write(folder: Path, loaded: LoadedRun, info: RunInfo) -> None:
    halve(loaded.model)
    save_run(folder, model=loaded.model, tokenizer=loaded.tokenizer, info=info)


def _packed_before(out: Path, key: str) -> bool:
    """Whether the very same was packed there.

    Raises:
        UserError: There is something else than a packed model.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    found = read_info(out).provenance.get(PACKED_FROM) if (out / CONFIG_FILE).is_file() else None
    if found is None:
        raise UserError(f"{out} holds other files; expected is an empty or a new folder, or a model packed before")
    return found == key


def _key(info: RunInfo, corpora: Mapping[str, Path], card: CardFacts, template: str, left_out: object) -> str:
    prints = {name: load_corpus(folder).fingerprint for name, folder in corpora.items()}
    return f"{info.weights_sha256} {digest([prints, plain(card), template, left_out])}"


def _provenance(card: CardFacts) -> dict[str, str]:
    made = environment()
    commit = "" if made["git_commit"] is None else f", commit {made['git_commit'][:12]}"
    collections = {f"collection {each.name}": f"{each.title} {each.made}" for each in card.sources}
    trainings = {f"training {name}": said for name, said in card.trainings.items()}
    return {**collections, **trainings, "made with": f"mme2e {made['packages']['mme2e']}{commit}"}


def _without_folders(info: RunInfo) -> ModelSettings:
    """The network's settings without the folder that its text encoder was read from."""
    text = info.model.text
    return replace(info.model, text=replace(text, model=Path(text.model).name))


def _scores(
    before: Predictions, after: Predictions, letters: str, card: CardFacts, label_names: tuple[str, ...]
) -> dict[str, object]:
    """All scores with one set of modalities; of parts only where there is one modality: composites have several."""
    collections = groups = speakers = ("",) * len(after.ids)
    if len(letters) == 1:
        collections = tuple(each.partition(MARK)[0] for each in after.ids)
        groups = tuple(card.speakers.get(each, "") for each in after.speakers)
    if letters == "a":
        speakers = after.speakers
    return {
        "scores": validation.score(after, label_names),
        "log_loss": validation.negative_log_likelihood(before.probabilities, before.labels),
        "log_loss_with_temperature": validation.negative_log_likelihood(after.probabilities, after.labels),
        "collections": validation.score_groups(after, collections, label_names),
        "groups": validation.score_groups(after, groups, label_names),
        "speakers": validation.score_groups(after, speakers, label_names),
    }
