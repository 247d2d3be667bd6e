"""What a run scores and what it costs, at every p, beside FE2E."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import Progress

from mme2e import console
from mme2e.benchmarking.interleaved import Candidate, time_interleaved
from mme2e.benchmarking.profiler import sample_batches
from mme2e.benchmarking.report import write_benchmark
from mme2e.benchmarking.result import (
    AS_TRAINED,
    FE2E_NAME,
    THIS_RUN,
    BenchmarkResult,
    Costs,
    Load,
    PointScore,
)
from mme2e.data.batch import Batch
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.hand_crafted import open_dataset
from mme2e.data.ragged import Ragged
from mme2e.environment import describe_machine
from mme2e.errors import UserError
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.score_run import load_run_for, score_loaded
from mme2e.models import MESM, build_model
from mme2e.models.normalised_convolution import settle_normalisations
from mme2e.ops.top_p import check_top_p
from mme2e.runs.folder import LoadedRun
from mme2e.scores.metrics import average

BENCHMARK_FOLDER = "benchmark"


def run_benchmark(
    run: Path,
    *,
    data: Path,
    split: str,
    top_p: Sequence[float],
    against: Path | None,
    utterances: int,
    batch_size: int,
    rounds: int,
    device: str,
    out: Path | None,
) -> BenchmarkResult:
    """Does what `mme2e.benchmark` does, with its arguments and errors."""
    if not top_p:
        raise UserError("top_p has no value: it requires at least one in (0, 1]")
    for value in top_p:
        check_top_p(value)
    for name, count in {"utterances": utterances, "batch_size": batch_size, "rounds": rounds}.items():
        if count < 1:
            raise UserError(f"{name} must be at least 1, not {count}")
    devices = _devices(device)
    corpus = load_corpus(data)
    sample = _Sample(corpus=corpus, split=split, utterances=utterances, batch_size=batch_size)
    mine = _entry(run, sample, top_p)
    fe2e = _baseline(mine, against, sample)
    machine = describe_machine(devices)
    costs, evaluations = _measure_and_score([mine, *([fe2e] if fe2e else [])], sample, devices, rounds)
    scores = [_point_score(evaluation) for evaluation in evaluations]
    baseline = fe2e or mine
    result = BenchmarkResult(
        run=mine.name,
        model=mine.run.info.model.name,
        trained_top_p=mine.trained_top_p,
        corpus=f"{corpus.info.name} {corpus.fingerprint}",
        split=split,
        costs=tuple(each for each in costs if each.name != FE2E_NAME),
        against=tuple(each for each in costs if each.name == baseline.candidates[0].name),
        against_name=fe2e.name if fe2e else THIS_RUN,
        scores=tuple(each for each in scores if each.name != FE2E_NAME),
        against_score=next((each for each in scores if each.name == FE2E_NAME), None),
        chance_f1=average(evaluations[0].chance.f1).value,
        thresholds_from=evaluations[0].thresholds_from,
        load=_load(mine.candidates[0].batches, batch_size, rounds),
        machine=machine,
    )
    write_benchmark(result, Path(run) / BENCHMARK_FOLDER if out is None else out)
    return result


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Which utterances are counted and timed."""

    corpus: Corpus
    split: str
    utterances: int
    batch_size: int

    def batches(self, run: LoadedRun) -> list[Batch]:
        """As the run reads them, with mel chunks."""
        settings = run.info.model
        dataset = open_dataset(self.corpus, self.split, settings, run.tokenizer)
        return sample_batches(dataset, self.utterances, self.batch_size)


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A run and the settings at which it takes part.

    Attributes:
        name: For people.
        run: In memory.
        corpus: With the label names of the run.
        candidates: One a setting.
        has_scores: Whether its weights are trained.
        trained_top_p: Of each stage, as trained; empty for FE2E.
    """

    name: str
    run: LoadedRun
    corpus: Corpus
    candidates: Sequence[Candidate]
    has_scores: bool = True
    trained_top_p: tuple[float, ...] = ()


def _entry(run: Path, sample: _Sample, top_p: Sequence[float]) -> _Entry:
    loaded, corpus = load_run_for(run, sample.corpus, torch.device("cpu"))
    if loaded.info.model.hand_crafted:
        raise UserError(f"{run} is {loaded.info.model.name}: what is measured is the cost of fe2e and mesm")
    model, batches = loaded.model, sample.batches(loaded)
    name = Path(run).resolve().name
    if not isinstance(model, MESM):
        alone = Candidate(name=THIS_RUN, model=model, batches=batches, stage_top_p={})  # type: ignore[arg-type]
        return _Entry(name=name, run=loaded, corpus=corpus, candidates=[alone])
    trained = {stage: module.selection.top_p for stage, module in model.stages.items()}
    settings: dict[str, Mapping[str, float]] = {f"{p:g}": dict.fromkeys(trained, p) for p in sorted(top_p)}
    if len(set(trained.values())) > 1:
        settings[AS_TRAINED] = trained
    candidates = [
        Candidate(name=setting, model=model, batches=batches, stage_top_p=stage_top_p)
        for setting, stage_top_p in settings.items()
    ]
    return _Entry(name=name, run=loaded, corpus=corpus, candidates=candidates, trained_top_p=tuple(trained.values()))


def _baseline(mine: _Entry, against: Path | None, sample: _Sample) -> _Entry | None:
    """The FE2E to compare with; None for an FE2E that is compared with itself."""
    if against is None and not mine.trained_top_p:
        return None
    batches = mine.candidates[0].batches
    if against is None:
        loaded, corpus = _random_fe2e(mine.run, batches[0]), mine.corpus
        name = "an FE2E of the same sizes with random weights"
    else:
        loaded, corpus = load_run_for(against, sample.corpus, torch.device("cpu"))
        name = Path(against).resolve().name
        here, there = mine.run.info.model, loaded.info.model
        if there.name != "fe2e" or there.modalities != here.modalities:
            raise UserError(
                f"{against} is {there.name} of modalities '{there.modalities}': "
                f"the run to compare with must be an fe2e of '{here.modalities}'"
            )
        batches = sample.batches(loaded)  # it may have another tokenizer
    candidate = Candidate(name=FE2E_NAME, model=loaded.model, batches=batches, stage_top_p={})  # type: ignore[arg-type]
    return _Entry(name=name, run=loaded, corpus=corpus, candidates=[candidate], has_scores=against is not None)


def _random_fe2e(run: LoadedRun, batch: Batch) -> LoadedRun:
    """With the run's text encoder; its normalisations have seen a batch, so that its numbers are of a usual size."""
    settings = replace(run.info.model, name="fe2e")
    text = run.model.text  # a TextBranch, or None
    encoder = None if text is None else text.encoder  # type: ignore[union-attr]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(settings, num_emotions=len(run.info.label_names), text_encoder=encoder)  # type: ignore[arg-type]
        settle_normalisations(model, batch)
    return LoadedRun(model=model.eval(), tokenizer=run.tokenizer, info=replace(run.info, model=settings))


def _measure_and_score(
    entries: Sequence[_Entry], sample: _Sample, devices: Sequence[torch.device], rounds: int
) -> tuple[list[Costs], list[Evaluation]]:
    everybody = [candidate for entry in entries for candidate in entry.candidates]
    scored = [(each, entry) for entry in entries if entry.has_scores for each in entry.candidates]
    costs, evaluations = [], []
    with _progress(len(everybody) * len(devices) * (rounds + 2) + len(scored)) as (progress, advance):
        for device in devices:
            costs += time_interleaved(everybody, device, rounds, advance)
        for candidate, entry in scored:
            run = entry.run
            candidate.set_top_p()
            # The stored thresholds were chosen at the p of training; here each p gets its own.
            bare = replace(run, info=replace(run.info, thresholds=None))
            evaluation, _ = score_loaded(
                bare,
                candidate.name,
                entry.corpus,
                sample.split,
                batch_size=sample.batch_size,
                device=devices[-1],
                progress=progress,
            )
            evaluations.append(evaluation)
            advance()
    return costs, evaluations


def _point_score(evaluation: Evaluation) -> PointScore:
    scores = evaluation.scores
    return PointScore(
        name=evaluation.run,
        f1=evaluation.macro_f1,
        weighted_accuracy=average(scores.weighted_accuracy).value,
        auc=average(scores.auc).value,
        thresholds=evaluation.thresholds,
    )


def _load(batches: Sequence[Batch], batch_size: int, rounds: int) -> Load:
    utterances = sum(len(batch) for batch in batches)

    def mean(given: Sequence[Ragged | None]) -> float:
        return sum(len(ragged.values) for ragged in given if ragged is not None) / utterances

    return Load(
        utterances=utterances,
        batch_size=batch_size,
        rounds=rounds,
        face_crops=mean([batch.face_crops for batch in batches]),
        mel_chunks=mean([batch.mel_chunks for batch in batches]),
        tokens=mean([batch.tokens for batch in batches]),
    )


def _devices(name: str) -> list[torch.device]:
    from mme2e.models.device import resolve_device

    chosen = resolve_device(name)
    return [torch.device("cpu"), chosen] if name == "auto" and chosen.type != "cpu" else [chosen]


@contextmanager
def _progress(steps: int) -> Iterator[tuple[Progress, Callable[[], None]]]:
    """A progress bar on standard error, and what is to be called after each step."""
    # Drawn by a thread of its own: rarely, for the sake of what is timed.
    with console.progress(only_on_terminals=True, refresh_per_second=1) as progress:
        bar = progress.add_task("benchmark", total=steps)
        try:
            yield progress, lambda: progress.advance(bar)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted; nothing was written") from None
