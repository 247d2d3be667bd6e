import csv
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mme2e.config import TrainSettings
from mme2e.corpora.manifest import read_manifest
from mme2e.experiments.file import read_experiment

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
EMOTIONS = ("happy", "sad", "fear")


@pytest.fixture
def composite(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import composite

    yield composite
    sys.modules.pop("composite")


def write_table(path: Path, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*heads, "label", "split"))
        writer.writerows(rows)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """12 speakers, 30 persons and 20 dialogues; the last quarter is the valid split; one photograph of fear there."""
    rng = random.Random(0)
    for name in ("speech", "faces"):
        (tmp_path / name).mkdir()
    clips = [
        (f"speech/{speaker:02}_{label}_{take}.flac", f"actor{speaker:02}", label, "train" if speaker < 9 else "valid")
        for speaker in range(12)
        for label in EMOTIONS
        for take in range(2)
    ]
    photographs = [
        (
            f"faces/{person:02}_{i}.jpg",
            f"p{person:02}",
            rng.choice(("happy", "sad")),
            "train" if person < 22 else "valid",
        )
        for person in range(30)
        for i in range(3)
    ]
    photographs += [(f"faces/fear{i}.jpg", f"q{i}", "fear", "train") for i in range(4)]
    photographs += [("faces/fear9.jpg", "q9", "fear", "valid")]
    lines = [
        (f"{label} {dialogue} {i}, yes", str(dialogue), label, "train" if dialogue < 15 else "valid")
        for dialogue in range(20)
        for label in EMOTIONS
        for i in range(2)
    ]
    lines += [("What?", "3", "sad", "train"), ("what?", "19", "sad", "valid")]
    write_table(tmp_path / "speech.csv", ("audio", "speaker"), clips)
    write_table(tmp_path / "faces.csv", ("image", "person"), photographs)
    write_table(tmp_path / "text.csv", ("text", "dialogue"), lines)
    for row in (*clips, *photographs):
        (tmp_path / row[0]).touch()
    return tmp_path


def test_nobody_is_in_two_splits(composite: ModuleType, tables: Path) -> None:
    sources = composite.read_sources(tables)
    for kind in (sources.clips, sources.photographs, sources.lines):
        groups = [{source.group for source in kind if source.split == split} for split in ("train", "valid", "test")]
        assert all(groups)
        assert not groups[0] & groups[1]
        assert not (groups[0] | groups[1]) & groups[2]


def test_test_is_the_whole_valid_split(composite: ModuleType, tables: Path) -> None:
    clips = [clip for clip in composite.read_sources(tables).clips if clip.split == "test"]
    assert {clip.group for clip in clips} == {"actor09", "actor10", "actor11"}


def test_each_emotion_validates_and_is_trained(composite: ModuleType, tables: Path) -> None:
    for kind in (composite.read_sources(tables).clips, composite.read_sources(tables).photographs):
        assert {(s.split, s.label) for s in kind} == {(p, e) for p in ("train", "valid", "test") for e in EMOTIONS}


def test_who_would_take_most_of_an_emotion_stays_in_training(composite: ModuleType, tmp_path: Path) -> None:
    rows = [(f"{i}.jpg", "one" if i < 50 else f"p{i}", "sad", "train") for i in range(100)]
    write_table(tmp_path / "faces.csv", ("image", "person"), rows)
    for seed in range(5):
        sources = composite._read(tmp_path / "faces.csv", "image", "person", seed)
        held = Counter(source.split for source in sources)
        assert held == {"train": 87, "valid": 13}
        assert all(source.group != "one" for source in sources if source.split == "valid")


def test_lines_that_the_test_speaks_too_are_not_trained_on(composite: ModuleType, tables: Path) -> None:
    lines = [line for line in composite.read_sources(tables).lines if line.content.lower() == "what?"]
    assert [line.split for line in lines] == ["test"]


def test_an_utterance_shares_its_emotion_and_its_split(composite: ModuleType, tables: Path) -> None:
    sources = composite.read_sources(tables)
    rows = composite.compose(sources, tables)
    known = {Path(s.content).name: (s.label, s.split) for s in (*sources.clips, *sources.photographs)} | {
        s.content: (s.label, s.split) for s in sources.lines
    }
    for row in rows:
        images = row["images"].split("|")
        assert len(images) == composite.PHOTOGRAPHS
        for item in (Path(row["audio"]).name, row["text"], *(Path(image).name for image in images)):
            assert known[item] == (row["labels"], row["split"])


def test_clips_are_used_once_and_in_training_twice(composite: ModuleType, tables: Path) -> None:
    rows = composite.compose(composite.read_sources(tables), tables)
    uses = Counter((row["audio"], row["split"]) for row in rows)
    assert {split: {n for (_, s), n in uses.items() if s == split} for split in ("train", "valid", "test")} == {
        "train": {composite.TRAIN_COPIES},
        "valid": {1},
        "test": {1},
    }
    assert len({row["id"] for row in rows}) == len(rows)


def test_nothing_is_dealt_again_before_all_were(composite: ModuleType, tables: Path) -> None:
    sources = composite.read_sources(tables)
    rows = composite.compose(sources, tables)
    for split, label in {(row["split"], row["labels"]) for row in rows}:
        here = [row for row in rows if (row["split"], row["labels"]) == (split, label)]
        uses = Counter(image for row in here for image in row["images"].split("|"))
        all_of_them = [s for s in sources.photographs if (s.split, s.label) == (split, label)]
        assert max(uses.values()) - min(uses.values()) <= 1
        assert len(uses) == min(len(all_of_them), composite.PHOTOGRAPHS * len(here))


def test_the_same_seed_gives_the_same_rows(composite: ModuleType, tables: Path) -> None:
    sources = composite.read_sources(tables)
    assert composite.compose(sources, tables, 1) == composite.compose(composite.read_sources(tables), tables, 1)
    assert composite.compose(sources, tables, 1) != composite.compose(sources, tables, 2)


def test_the_manifest_is_one(composite: ModuleType, tables: Path) -> None:
    rows = composite.compose(composite.read_sources(tables), tables)
    composite.write_manifest(tables / "manifest.csv", rows)
    corpus = read_manifest(tables / "manifest.csv")
    assert corpus.skipped == ()
    assert corpus.label_names == tuple(sorted(EMOTIONS))
    assert not corpus.multi_label
    assert len(corpus.utterances) == len(rows)
    first = corpus.utterances[0]
    assert (first.start_s, first.end_s) == (composite.START_S, composite.END_S)
    assert len(first.images) == composite.PHOTOGRAPHS


def test_counts_tell_the_rare_photographs(composite: ModuleType, tables: Path) -> None:
    table = composite.count_table(composite.compose(composite.read_sources(tables), tables))
    assert "| test | fear | 6 | 6 | 1 | 6 |" in table.splitlines()


def test_the_experiment_file_has_what_the_benchmark_compares(tmp_path: Path) -> None:
    settings = read_experiment(BENCHMARKS / "open_data.yaml", data=[str(tmp_path)])
    variants: dict[str, TrainSettings] = {variant.name: variant.settings for variant in settings.variants}
    assert {variants[name].model.modalities for name in ("fe2e words", "fe2e sound", "fe2e faces")} == {"t", "a", "v"}
    modes = {name: variants[name].model.attention.mode for name in ("mesm frozen", "mesm trained", "mesm gate")}
    assert modes == {"mesm frozen": "frozen", "mesm trained": "importance", "mesm gate": "gate"}
    assert {variants[name].model.top_p for name in modes} == {0.5}
    assert settings.baseline == "mesm frozen"
