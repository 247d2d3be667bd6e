"""Building a starter, step after step; each leaves files that the next call finds."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mme2e.command_line import read_settings
from mme2e.config import InitSettings, TrainSettings
from mme2e.console import screen, show
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.locking import locked
from mme2e.preparation.compose import compose
from mme2e.preparation.copying import whole_folder
from mme2e.preparation.merge import merge
from mme2e.preparation.merging import MARK
from mme2e.preparation.prepare import prepare
from mme2e.records import load, plain, to_json
from mme2e.runs.folder import LOCK_FILE
from mme2e.runs.info import CONFIG_FILE, read_info
from mme2e.starter.archives import unpack
from mme2e.starter.build import BuildStep, BuildSummary
from mme2e.starter.card import CardFacts, Source
from mme2e.starter.encoder import cut_encoder
from mme2e.starter.pack import pack_starter
from mme2e.starter.recipe import BRANCHES, COMPOSITES, ENCODER, MANIFEST, PACK, PREPARE, Recipe, read_recipe
from mme2e.starter.tables import write_manifest
from mme2e.starter.validation import ALL
from mme2e.training.history import SETTINGS_FILE, TrainingReport
from mme2e.training.train import train

CUT_FILE = "cut.json"
"""In the folder of the smaller encoder: what it was cut from, and how."""

_RUN_OF = {"text": "text_run", "speech": "acoustic_run", "faces": "visual_run"}
"""Field of `InitSettings` for the run of a branch."""


def run_build(file: Path, *, data: Path, out: Path, encoder: Path, until: str | None) -> BuildSummary:
    """Does what `mme2e.build_starter` does, with its arguments and errors."""
    recipe = read_recipe(file)
    last = until or PACK
    if last not in recipe.steps:
        raise UserError(f"until must be one of {', '.join(recipe.steps)}, not '{last}'")
    if not data.is_dir():
        raise UserError(f"there is no folder {data}; expected are the collections of {file}")
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / LOCK_FILE, f"another process builds in {out}: wait for its end, or give another folder"):
        builder = _Builder(recipe, file, data.resolve(), out.resolve(), encoder.resolve(), last)
        try:
            return builder.build()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted; what was done is kept in {out}; the same command goes on") from None


class _Builder:
    """A build that is running.

    Args:
        recipe: What is built.
        file: Where the recipe is; the settings of its trainings are beside it.
        data: Folder with the collections.
        out: Folder for what is made.
        encoder: The large text encoder.
        last: Step that ends the build.
    """

    def __init__(self, recipe: Recipe, file: Path, data: Path, out: Path, encoder: Path, last: str) -> None:
        self.recipe, self.file, self.data, self.out, self.encoder = recipe, file, data, out, encoder
        self.last = last
        self.stages = recipe.stages_until(last)
        self.settings = {name: self._read_settings(name) for name in self.stages}
        self.lacking: list[str] = []
        self.present = {branch: self._present(branch) for branch in recipe.branches_for(last)}
        for branch, names in self.present.items():
            if not names:
                places = ", ".join(str(data / recipe.collections[name].path) for name in recipe.branches[branch])
                raise UserError(f"no collection of the branch {branch} is there; expected is one or more of {places}")
        if any(recipe.corpus_of(stage) == COMPOSITES for stage in self.stages) and set(self.present) != set(BRANCHES):
            raise UserError(f"composite utterances require the branches {', '.join(BRANCHES)} in {file}")

    def build(self) -> BuildSummary:
        """Does what is missing."""
        steps = list(self._steps())
        done = []
        for number, (name, action) in enumerate(steps, start=1):
            show(f"{number}/{len(steps)} {name}", console=screen(stderr=True))
            began_s = time.perf_counter()
            before = action()
            done.append(BuildStep(name=name, seconds=time.perf_counter() - began_s, done_before=before))
        model = self.out / "model" if self._packs else None
        return BuildSummary(folder=self.out, model=model, steps=tuple(done), lacking=tuple(self.lacking))

    def _steps(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        """Each step and what does it; that returns whether it had been done before."""
        for names in self.present.values():
            for name in names:
                yield f"prepare {name}", partial(self._prepare, name)
        for branch in self.present:
            yield f"merge {branch}", partial(self._merge, branch)
        if self.last == PREPARE:
            return
        if self.last == ENCODER or any(each.model.text.model == ENCODER for each in self.settings.values()):
            yield "cut the text encoder", self._cut
        composed = False
        for stage in self.stages:
            if self.recipe.corpus_of(stage) == COMPOSITES and not composed:
                yield "compose utterances", self._compose
                composed = True
            yield f"train {stage}", partial(self._train, stage)
            if stage == self.recipe.ships and self._packs:
                yield f"pack {stage}", self._pack

    @property
    def _packs(self) -> bool:
        return self.recipe.steps.index(self.last) >= self.recipe.steps.index(PACK)

    def _read_settings(self, stage: str) -> TrainSettings:
        settings = read_settings(self.file.parent / self.recipe.stages[stage], TrainSettings)
        name = self.recipe.networks.get(stage, settings.model.name)
        return replace(settings, model=replace(settings.model, name=name))

    def _present(self, branch: str) -> tuple[str, ...]:
        """The collections of a branch that are there; what the others cost is noted."""
        names = self.recipe.branches[branch]
        there = tuple(name for name in names if not self._missing(name))
        for name in [name for name in names if name not in there]:
            others = ", ".join(dict.fromkeys(self._title(other) for other in there))
            missing = f"({self._missing(name)} is missing)"  # no folder of this machine: it goes into the card
            self.lacking.append(f"without {self._title(name)}: {branch} is learned from {others} alone {missing}")
        return there

    def _missing(self, name: str) -> str:
        """The first path of a collection that is not there; empty where all are."""
        settings = self.recipe.collections[name]
        paths = [settings.path]
        if settings.archive is not None and not self._unpacked(settings.archive).is_dir():
            paths.append(settings.archive)
        return next((path for path in paths if not (self.data / path).exists()), "")

    def _title(self, name: str) -> str:
        return self.recipe.collections[name].title or name

    def _unpacked(self, archive: str) -> Path:
        return self.out / "unpacked" / Path(archive).name.split(".")[0]

    def _corpus(self, name: str) -> Path:
        return self.out / "corpora" / name

    def _run(self, stage: str) -> Path:
        return self.out / "runs" / stage

    def _prepare(self, name: str) -> bool:
        settings = self.recipe.collections[name]
        raw = self.data / settings.path
        if settings.archive is not None:
            unpack(self.data / settings.archive, self._unpacked(settings.archive))
        if settings.layout == MANIFEST:
            media = raw.parent if settings.archive is None else self._unpacked(settings.archive)
            manifest = self.out / "manifests" / f"{name}.csv"
            write_manifest(name, settings, self.recipe.labels, raw, media, manifest)
            raw = manifest
        summary = prepare(settings.layout, raw, self._corpus(name))
        if summary.failed:
            self.lacking.append(f"{name}: {summary.failed} utterances could not be read; its corpus.json names them")
        return summary.done == 0

    def _merge(self, branch: str) -> bool:
        names = self.present[branch]
        labels = {name: load_corpus(self._corpus(name)).info.label_names for name in names}
        known = {label for found in labels.values() for label in found}
        renames = {old: new for old, new in self.recipe.renames(names).items() if old in known}
        drops = [name for name in names if self.recipe.collections[name].drop_unnamed]
        for name in [name for name in names if name not in drops]:
            others = [label for label in labels[name] if renames.get(label, label) not in self.recipe.labels]
            if others:
                raise UserError(
                    f"{name} has the label '{others[0]}', which is none of {', '.join(self.recipe.labels)}: it must be "
                    "renamed, or drop_unnamed must be true"
                )
        merged = merge(
            [self._corpus(name) for name in names],
            out=self._corpus(branch),
            labels=self.recipe.labels,
            rename=renames,
            drop_unnamed=bool(drops),
        )
        return merged.already_done

    def _cut(self) -> bool:
        folder, how = self.out / "encoder", self.recipe.encoder
        texts = load_corpus(self._corpus("text"))
        source = self.encoder / "model.safetensors"
        if not source.is_file():
            raise UserError(f"{self.encoder} has no model.safetensors; expected is the folder of a text encoder")
        sizes = {"layers": how.layers, "vocabulary": how.vocabulary, "positions": how.positions}
        made_of = plain({**sizes, "texts": texts.fingerprint, "source_bytes": source.stat().st_size})
        if folder.is_dir():
            if not (folder / CUT_FILE).is_file() or load(folder / CUT_FILE) != made_of:
                raise UserError(
                    f"{folder} was cut from another encoder, texts or sizes: remove it, or give another out"
                )
            return True
        with whole_folder(folder) as new:
            cut_encoder(self.encoder, new, texts=texts.texts("train"), **sizes)
            (new / CUT_FILE).write_text(to_json(made_of), encoding="utf-8")
        return False

    def _compose(self) -> bool:
        how = self.recipe.compose
        composed = compose(
            audio=self._corpus("speech"),
            faces=self._corpus("faces"),
            text=self._corpus("text"),
            out=self._corpus(COMPOSITES),
            photographs=how.photographs,
            copies=how.copies,
            seed=how.seed,
            partial=how.partial,
        )
        return composed.already_done

    def _train(self, stage: str) -> bool:
        run = self._run(stage)
        started = (run / SETTINGS_FILE).is_file()
        finished = started and TrainingReport.read(run).finished
        if not started:
            from mme2e.training.resume import remove_beginning  # takes Lightning along, as training does

            remove_beginning(run)
        train(self._settings_of(stage), data=self._corpus(self.recipe.corpus_of(stage)), out=run, resume=started)
        return finished

    def _settings_of(self, stage: str) -> TrainSettings:
        """The settings of a training, with the folders of this build."""
        settings = self.settings[stage]
        text = settings.model.text
        if text.model == ENCODER:
            model = replace(settings.model, text=replace(text, model=str(self.out / "encoder")))
            settings = replace(settings, model=model)
        return replace(settings, init=self._init_of(stage, settings))

    def _init_of(self, stage: str, settings: TrainSettings) -> InitSettings:
        """Where a training begins: names of earlier ones, as text or runs/text, become their folders.

        Composite utterances are learned from what the branches know already, where nothing else is said and the network
        is the same.
        """
        earlier = self.stages[: self.stages.index(stage)]
        init = settings.init
        runs = {name: getattr(init, name) for name in ("run", *_RUN_OF.values())}
        runs = {name: self._run_of(run, earlier) for name, run in runs.items()}
        if self.recipe.corpus_of(stage) == COMPOSITES and init.run is None:
            for branch, name in _RUN_OF.items():
                wanted = BRANCHES[branch] in settings.model.modalities and branch in earlier and runs[name] is None
                # Text is read alike by both networks.
                if wanted and (branch == "text" or self.settings[branch].model.name == settings.model.name):
                    runs[name] = str(self._run(branch))
        return replace(init, **runs)

    def _run_of(self, name: str | None, earlier: Sequence[str]) -> str | None:
        stage = (name or "").removeprefix("runs/")
        return str(self._run(stage)) if stage in earlier else name

    def _pack(self) -> bool:
        model = self.out / "model"
        before = (model / CONFIG_FILE).is_file() and read_info(model).weights_sha256
        corpora = {BRANCHES[branch]: self._corpus(branch) for branch in self.present}
        if self._corpus(COMPOSITES).is_dir():
            corpora[ALL] = self._corpus(COMPOSITES)
        pack_starter(
            self._run(self.recipe.ships),
            model,
            corpora=corpora,
            card=self._facts(),
            picture=self.out / "abstention.png",
            transfer=self.out / "left_out.json",
            branches={
                letter: Path(run) for letter, run in self._settings_of(self.recipe.ships).init.runs_of_branches.items()
            },
            share=self.recipe.blend,
        )
        return bool(before) and before == read_info(model).weights_sha256

    def _facts(self) -> CardFacts:
        sources = []
        for branch, names in self.present.items():
            for name in names:
                how = self.recipe.collections[name]
                fingerprint = load_corpus(self._corpus(name)).fingerprint
                sources.append(
                    Source(name=name, title=self._title(name), branch=branch, licence=how.licence, made=fingerprint)
                )
        trainings = {}
        for stage in self.recipe.stages_until(PACK):
            said = read_info(self._run(stage)).provenance
            kept = ("seed", "best epoch", "validation macro F1")
            trainings[stage] = ", ".join(f"{key} {said[key]}" for key in kept if key in said)
        encoder = self.recipe.encoder
        speakers = {
            f"{name}{MARK}{speaker}": group
            for name, how in self.recipe.collections.items()
            for group, members in how.speakers.items()
            for speaker in members
        }
        return CardFacts(
            sources=tuple(sources),
            encoder=encoder.title or self.encoder.name,
            encoder_licence=encoder.licence,
            trainings=trainings,
            lacking=tuple(self.lacking),
            speakers=speakers,
        )
