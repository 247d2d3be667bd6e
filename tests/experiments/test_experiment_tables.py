"""Numbers and tables of an experiment, from scores that are written by hand."""

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mme2e.config import ModelSettings, TrainSettings
from mme2e.config.experiment import BootstrapSettings, ExperimentSettings, Protocol, PublishedRows, Variant
from mme2e.errors import UserError
from mme2e.experiments.latex import escape, to_latex
from mme2e.experiments.outcomes import read_outcome
from mme2e.experiments.plan import PlannedRun, plan_runs
from mme2e.experiments.plot import value_of
from mme2e.experiments.report import CorpusFacts, Report, narrow_table, to_markdown
from mme2e.experiments.run import _write
from mme2e.experiments.summary import summarise
from mme2e.scores.metrics import emotion_scores
from mme2e.scores.thresholds import decide

NAMES = ("ang", "exc", "fru", "hap", "neu", "sad")


def variant(called: str, **model: object) -> Variant:
    return Variant(name=called, settings=TrainSettings(model=ModelSettings(**model)))


SETTINGS = ExperimentSettings(
    name="50 % of $ & co_",
    about="What it shows.",
    variants=(variant("fe2e"), variant("mesm", name="mesm"), variant("fe2e v", modalities="v")),
    protocols=(Protocol(name="paper", folds=(Path("c"),)),),
    seeds=(0, 1, 2),
    baseline="fe2e",
    published=PublishedRows(table="iemocap", rows={"fe2e": "FE2E", "mesm": "MESM p=0.7"}),
    bootstrap=BootstrapSettings(draws=300),
)
SKILL = {"fe2e": 0.6, "mesm": 0.55, "fe2e v": 0.1}
FACTS = CorpusFacts(corpus="iemocap 0123", split_protocol="published lists", shared="10 of 10", test_utterances=120)


def write_scores(run: PlannedRun, utterances: int = 120, lacks: int = 0, copies: int = 0) -> None:
    """What `mme2e evaluate` writes, of a model with the skill of its variant; `lacks` utterances are not scored.

    Without `copies` as an older version wrote it, without recordings and speakers; with them each utterance is a
    recording of so many that are all alike, and everybody speaks in ten recordings.
    """
    truth = np.random.default_rng(run.fold).integers(6, size=utterances)
    labels = np.eye(6, dtype=bool)[truth]
    noise = np.random.default_rng([run.fold, run.seed, len(run.variant.name)]).random((utterances, 6))
    skill = SKILL[run.variant.name]
    probabilities = (noise + skill * labels) / (1 + skill)
    ids, probabilities, labels = np.arange(lacks, utterances), probabilities[lacks:], labels[lacks:]
    origins = [[f"r{i}", f"s{i // 10}"] if copies else [] for i in ids.repeat(max(1, copies))]
    probabilities, labels = (each.repeat(max(1, copies), axis=0) for each in (probabilities, labels))
    run.scores.mkdir(parents=True)
    chance = {"f1": {"per_emotion": [0.3] * 6, "average": 0.3}, "auc": 0.5, "weighted_accuracy": 0.5}
    content = {
        "corpus": "iemocap 0123",
        "label_names": NAMES,
        "utterances": len(labels),
        "positives": labels.sum(axis=0).tolist(),
        "thresholds": [0.55] * 6,
        "chance": chance,
    }
    (run.scores / "metrics_test.json").write_text(json.dumps(content))
    with (run.scores / "predictions_test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = ["recording", "speaker"] if copies else []
        writer.writerow(
            ["id", *columns, *(f"probability_{name}" for name in NAMES), *(f"label_{name}" for name in NAMES)]
        )
        numbers = range(lacks * max(1, copies), utterances * max(1, copies))
        for identity, origin, row, truths in zip(numbers, origins, probabilities, labels, strict=True):
            writer.writerow([f"u{identity}", *origin, *map(str, row), *map(int, truths)])


def make_report(settings: ExperimentSettings, runs: list[PlannedRun], **changes: object) -> Report:
    content = {
        "settings": settings,
        "summary": summarise(settings, runs),
        "facts": {each.name: [FACTS] * len(each.folds) for each in settings.protocols},
        "operations": {"fe2e": 4e9, "mesm": 1e9},
        "planned": len(runs),
        "done": len(runs),
        "failures": [],
    }
    return Report(**{**content, **changes})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[PlannedRun]:
    planned = plan_runs(SETTINGS, tmp_path_factory.mktemp("experiment"))
    for run in planned:
        write_scores(run, lacks=20 if run.variant.name == "fe2e v" else 0)
    return list(planned)


@pytest.fixture(scope="module")
def report(runs) -> Report:
    return make_report(SETTINGS, runs)


def test_scores_are_those_of_the_predictions(runs, report) -> None:
    for run in runs[:3]:
        outcome = read_outcome(run.scores)
        expected = emotion_scores(
            outcome.probabilities, decide(outcome.probabilities, np.full(6, 0.55)), outcome.labels
        )
        found = [s.value for s in report.summary.scores if s.run == str(run.folder) and s.metric == "f1"]
        np.testing.assert_allclose(found[:-1], expected.f1)
        assert found[-1] == pytest.approx(np.nanmean(expected.f1))


def test_mean_and_deviation_over_seeds(report) -> None:
    values = [s.value for s in report.summary.scores if (s.variant, s.metric, s.emotion) == ("mesm", "auc", "average")]
    cell = report.summary.cell("paper", "mesm", "auc")
    assert len(values) == cell.runs == 3
    assert cell.mean == pytest.approx(np.mean(values))
    assert cell.std == pytest.approx(np.std(values, ddof=1))
    assert cell.low < cell.mean < cell.high
    assert cell.chance == 0.5
    assert math.isnan(cell.published)  # the paper has no AUC
    assert report.summary.cell("paper", "mesm", "f1").published == pytest.approx(0.574)
    assert report.summary.cell("paper", "mesm", "f1", "hap").published == pytest.approx(0.473)


def test_a_real_difference_is_told_from_none(report) -> None:
    summary = report.summary
    worse, alike = (summary.comparison("paper", name, "f1") for name in ("fe2e v", "mesm"))
    assert worse.p_holm < 0.05
    assert worse.high < 0
    assert alike.p_holm > 0.05
    assert len(summary.comparisons) == 6
    assert all(each.p_holm >= each.p for each in summary.comparisons)
    assert summary.comparison("paper", "fe2e", "f1") is None


def test_comparison_is_over_what_both_scored(runs, report) -> None:
    assert report.summary.comparison("paper", "mesm", "f1").utterances == 120
    comparison = report.summary.comparison("paper", "fe2e v", "f1")
    assert comparison.utterances == 100
    known = [f"u{i}" for i in range(20, 120)]
    means = {}
    for name in ("fe2e", "fe2e v"):
        outcomes = [read_outcome(run.scores).only(known) for run in runs if run.variant.name == name]
        f1 = [np.nanmean(emotion_scores(o.probabilities, o.decisions, o.labels).f1) for o in outcomes]
        means[name] = np.mean(f1)
    assert comparison.difference == pytest.approx(means["fe2e v"] - means["fe2e"])


def test_the_same_runs_do_not_differ(runs) -> None:
    settings = replace(
        SETTINGS, variants=SETTINGS.variants[:2], bootstrap=BootstrapSettings(draws=200, seeds=False), published=None
    )
    dense = [run for run in runs if run.variant.name == "fe2e"]
    twins = [*dense, *(replace(run, variant=settings.variants[1]) for run in dense)]
    comparison = summarise(settings, twins).comparison("paper", "mesm", "f1")
    assert (comparison.difference, comparison.low, comparison.high, comparison.p_holm) == (0, 0, 0, 1)


def drawn_by(unit: str, runs: list[PlannedRun], **changes: object) -> Report:
    return make_report(replace(SETTINGS, bootstrap=BootstrapSettings(draws=300, unit=unit, **changes)), runs)  # type: ignore[arg-type]


def test_alike_utterances_of_a_recording_make_nothing_surer(tmp_path, report) -> None:
    planned = list(plan_runs(SETTINGS, tmp_path))
    for run in planned:
        write_scores(run, lacks=20 if run.variant.name == "fe2e v" else 0, copies=10)
    by_recording, by_utterance = (drawn_by(unit, planned) for unit in ("recording", "utterance"))
    for name in SKILL:
        # Ten copies of every utterance: the intervals are those of the utterances without copies.
        alike, once = (each.summary.cell("paper", name, "f1") for each in (by_recording, report))
        assert (alike.mean, alike.low, alike.high) == pytest.approx((once.mean, once.low, once.high))
    fixed = [
        drawn_by(unit, planned, seeds=False).summary.cell("paper", "fe2e", "f1") for unit in ("recording", "utterance")
    ]
    widths = [cell.high - cell.low for cell in fixed]
    assert widths[0] / widths[1] == pytest.approx(10**0.5, rel=0.25)
    for name in ("mesm", "fe2e v"):
        found, expected = (each.summary.comparison("paper", name, "f1") for each in (by_recording, report))
        assert (found.low, found.high, found.p) == pytest.approx((expected.low, expected.high, expected.p))
        surer = by_utterance.summary.comparison("paper", name, "f1")
        assert found.high - found.low > surer.high - surer.low
    assert "95 %: bootstrap over 120 test recordings and 3 seeds" in to_markdown(by_recording)
    assert "95 %: bootstrap over 1200 test utterances and 3 seeds" in to_markdown(by_utterance)
    assert "95 %: bootstrap over 12 test speakers and 3 seeds" in to_markdown(drawn_by("speaker", planned))
    assert "older version" not in to_markdown(by_utterance)


def test_predictions_without_recordings_are_drawn_as_utterances_and_the_table_says_so(runs, report) -> None:
    text = to_markdown(report)
    assert "95 %: bootstrap over 120 test utterances and 3 seeds" in text
    assert "predictions of an older version carry no recording; evaluate the runs again" in text
    assert "older version" in to_latex(report)
    assert "older version" not in to_markdown(drawn_by("utterance", runs))


def test_a_single_recording_leaves_nothing_to_draw(tmp_path) -> None:
    run = plan_runs(SETTINGS, tmp_path)[0]
    write_scores(run, utterances=1, copies=30)
    report = make_report(SETTINGS, [run])
    assert math.isnan(report.summary.cell("paper", "fe2e", "f1").low)
    assert "a single recording leaves nothing to draw: there is no interval and no p" in to_markdown(report)


def test_numbers_are_seeded(runs, report) -> None:
    assert repr(summarise(SETTINGS, runs)) == repr(report.summary)  # as text, for NaN is not equal to itself
    other = summarise(replace(SETTINGS, bootstrap=BootstrapSettings(draws=300, seed=1)), runs)
    assert other.cell("paper", "mesm", "f1").low != report.summary.cell("paper", "mesm", "f1").low
    assert other.cell("paper", "mesm", "f1").mean == report.summary.cell("paper", "mesm", "f1").mean


def test_resampling_seeds_widens_what_depends_on_them(runs, report) -> None:
    fixed = summarise(replace(SETTINGS, bootstrap=BootstrapSettings(draws=300, seeds=False)), runs)
    for name in SKILL:
        wide, narrow = report.summary.cell("paper", name, "f1"), fixed.cell("paper", name, "f1")
        assert wide.high - wide.low > narrow.high - narrow.low


def test_one_seed_has_no_deviation(runs) -> None:
    settings = replace(SETTINGS, seeds=(0,))
    report = make_report(settings, [run for run in runs if run.seed == 0])
    assert math.isnan(report.summary.cell("paper", "fe2e", "f1").std)
    text = to_markdown(report)
    assert "one seed: there is no standard deviation" in text
    assert "±" not in text
    assert r"\pm" not in to_latex(report)


def test_folds_are_averaged(tmp_path) -> None:
    settings = replace(
        SETTINGS,
        protocols=(Protocol(name="session", folds=(Path("a"), Path("b"))),),
        seeds=(0, 1),
        variants=SETTINGS.variants[:2],
    )
    planned = plan_runs(settings, tmp_path)
    assert [str(run) for run in planned[:3]] == [
        "fe2e, seed 0 (session, fold 1)",
        "mesm, seed 0 (session, fold 1)",
        "fe2e, seed 0 (session, fold 2)",
    ]
    assert len({run.folder for run in planned}) == 8
    for run in planned:
        write_scores(run, utterances=60 + 20 * run.fold)
    report = make_report(settings, list(planned))
    cell = report.summary.cell("session", "mesm", "f1")
    values = {
        (s.fold, s.seed): s.value
        for s in report.summary.scores
        if (s.variant, s.metric, s.emotion) == ("mesm", "f1", "average")
    }
    assert sorted(values) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert cell.mean == pytest.approx(np.mean(list(values.values())))
    by_seed = [np.mean([values[1, seed], values[2, seed]]) for seed in (0, 1)]
    assert cell.std == pytest.approx(np.std(by_seed, ddof=1))
    assert report.summary.comparison("session", "mesm", "f1").utterances == 140
    assert "fold 2: corpus iemocap" in to_markdown(report)


def test_markdown_tells_everything(report) -> None:
    text = to_markdown(report)
    f1 = report.summary.cell("paper", "fe2e", "f1")
    assert (
        f"| fe2e | 3 | {100 * f1.mean:.1f} ± {100 * f1.std:.1f} | {100 * f1.low:.1f} to {100 * f1.high:.1f} |" in text
    )
    assert "| 58.8 |" in text
    assert "| FE2E (Dai et al. 2021) | 63.9 | 61.9 | 57.8 | 44.8 | 58.4 | 65.7 | 58.8 |" in text
    assert "| chance |  | 30.0 |" in text
    assert "split: published lists; 10 of 10" in text
    assert "its test split has 1481 utterances, this one 120" in text
    assert "| mesm | 1.000 | 25.0 | 4.34 | 50.2 |" in text  # top_p is 0.5 by default
    assert "bootstrap over 120 test utterances and 3 seeds" in text
    assert "(300 resamples, seed 0)" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_unfinished_experiments_say_so(runs) -> None:
    report = make_report(
        SETTINGS,
        [run for run in runs if run.variant.name != "mesm"],
        planned=9,
        done=6,
        failures=["mesm, seed 0 (paper): no memory"],
    )
    text = to_markdown(report)
    assert "| mesm | 0 | \N{EN DASH} | \N{EN DASH} |" in text
    assert "INCOMPLETE: 6 of 9 runs" in text
    assert "failed: mesm, seed 0 (paper): no memory" in text
    assert "mesm & --" in to_latex(report)


def test_without_the_baseline_nothing_is_compared(runs) -> None:
    report = make_report(SETTINGS, [run for run in runs if run.variant.name != "fe2e"])
    assert report.summary.comparisons == ()
    assert "| mesm | 3 |" in to_markdown(report)


def test_a_protocol_without_runs(runs) -> None:
    settings = replace(SETTINGS, protocols=(*SETTINGS.protocols, Protocol(name="session", folds=(Path("d"),))))
    assert "## session\n\nNo run is done." in to_markdown(make_report(settings, runs))


def test_latex_is_balanced_and_escaped(report) -> None:
    text = to_latex(report)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    assert r"50 \% of \$ \& co\_" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 8
    assert r"\emph{FE2E, published} & 63.9" in text
    assert "$^{*}$" in text
    assert escape(r"a_b\~^{}") == r"a\_b\textbackslash{}\textasciitilde{}\textasciicircum{}\{\}"


def test_the_terminal_gets_a_narrow_table(report) -> None:
    heads, rows = narrow_table(report, "paper", "f1")
    assert heads == ["", "F1", "95 %", "diff.", "p (Holm)", "paper"]
    assert all(len(row) == 6 for row in rows)


@pytest.mark.parametrize("along", [None, "model.top_p"])
def test_files(report, tmp_path, along) -> None:
    _write(replace(report, settings=replace(SETTINGS, along=along)), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparisons.csv",
        "results.csv",
        "results.md",
        "results.parquet",
        "results.png",
        "results.tex",
        "summary.csv",
    ]
    table = pq.read_table(tmp_path / "results.parquet")
    assert table.num_rows == 9 * 3 * 7  # runs x metrics x (emotions + average)
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == pytest.approx(table["value"].to_pylist())
    with (tmp_path / "summary.csv").open() as file:
        undefined = [row for row in csv.DictReader(file) if row["published"] == ""]
    # WAcc and AUC of all three, F1 of the one that the paper does not have.
    assert len(undefined) == (3 + 3 + 1) * 7
    with Image.open(tmp_path / "results.png") as image:
        assert min(image.size) > 300


def test_a_horizontal_axis_wants_numbers() -> None:
    assert value_of(SETTINGS.variants[0], "model.top_p") == 0.5
    with pytest.raises(UserError, match=r"along: model\.name of variant 'fe2e' must be a number, not 'fe2e'"):
        value_of(SETTINGS.variants[0], "model.name")
    with pytest.raises(UserError, match=r"model\.width of variant 'fe2e' must be a number, not None"):
        value_of(SETTINGS.variants[0], "model.width")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("metrics_test.json", "{"),
        ("metrics_test.json", "{}"),
        ("predictions_test.csv", "id\nu1\n"),
        ("predictions_test.csv", ""),
    ],
)
def test_damaged_scores_are_named(tmp_path, name, damage) -> None:
    run = plan_runs(SETTINGS, tmp_path)[0]
    write_scores(run)
    (run.scores / name).write_text(damage)
    with pytest.raises(UserError, match=name):
        read_outcome(run.scores)


def test_scores_of_two_evaluations_are_not_mixed(tmp_path) -> None:
    one, other = plan_runs(SETTINGS, tmp_path)[:2]
    write_scores(one)
    write_scores(other, utterances=100)
    (other.scores / "predictions_test.csv").replace(one.scores / "predictions_test.csv")
    with pytest.raises(UserError, match="different evaluations"):
        read_outcome(one.scores)
