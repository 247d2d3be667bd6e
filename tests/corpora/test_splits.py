from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mme2e.config import SplitSettings
from mme2e.corpora.splits import assign_splits
from mme2e.corpora.utterance import RawCorpus, Skipped, Utterance
from mme2e.errors import UserError


def make_corpus(name: str, recordings: dict[str, list[tuple[str, ...]]], label_names: tuple[str, ...] = ("a", "b")):
    utterances = tuple(
        Utterance(
            id=f"{recording}_{i}", recording=recording, speaker=recording, start_s=0, end_s=1, text="x", labels=labels
        )
        for recording, rows in recordings.items()
        for i, labels in enumerate(rows)
    )
    return RawCorpus(name=name, label_names=label_names, multi_label=True, utterances=utterances)


def splits_of(corpus: RawCorpus) -> dict[str, str | None]:
    return {u.id: u.split for u in corpus.utterances}


@pytest.fixture
def iemocap() -> RawCorpus:
    return make_corpus("iemocap", {f"Ses0{s}F_impro01": [("a",), ("b",)] for s in range(1, 6)})


def write_lists(folder: Path, train: str, valid: str, test: str) -> Path:
    for name, ids in (("train", train), ("valid", valid), ("test", test)):
        (folder / f"{name}_split.txt").write_text("".join(f"{id_}\n" for id_ in ids.split()))
    return folder


@pytest.mark.parametrize(("fold", "validation"), [(1, 5), (2, 1), (5, 4)])
def test_a_session_is_tested_and_the_one_before_validates(iemocap: RawCorpus, fold: int, validation: int):
    corpus = assign_splits(iemocap, SplitSettings(protocol="session", fold=fold))
    assert corpus.split_protocol == f"session, fold {fold}"
    for utterance in corpus.utterances:
        session = int(utterance.recording[4])
        assert utterance.split == {fold: "test", validation: "valid"}.get(session, "train")


def test_a_missing_session_is_a_user_error(iemocap: RawCorpus):
    part = make_corpus("iemocap", {"Ses01F_impro01": [("a",)], "Ses02F_impro01": [("a",)]})
    with pytest.raises(UserError, match=r"split\.fold 5: the corpus has sessions 1, 2"):
        assign_splits(part, SplitSettings(protocol="session"))
    with pytest.raises(UserError, match="no sessions"):
        assign_splits(make_corpus("mosei", {"x": [("a",)]}), SplitSettings(protocol="session"))


def protocol_of(corpus: RawCorpus, lists: Path | None = None) -> str:
    return assign_splits(corpus, SplitSettings(), lists).split_protocol


def test_auto_takes_the_first_that_the_corpus_allows(iemocap: RawCorpus, tmp_path: Path):
    ids = [u.id for u in iemocap.utterances]
    brought = replace(iemocap, utterances=tuple(replace(u, split="train") for u in iemocap.utterances))
    lists = write_lists(tmp_path, ids[0], ids[1], ids[2])
    assert protocol_of(brought, lists).startswith("lists")
    assert protocol_of(brought) == "as the corpus has them"
    assert protocol_of(iemocap) == "session, fold 5"
    assert protocol_of(make_corpus("iemocap", {"Ses01F_impro01": [("a",)]})) == "recording, seed 0"
    assert protocol_of(make_corpus("mosei", {"x": [("a",)]})) == "recording, seed 0"
    assert protocol_of(spoken({f"clip{i}": f"speaker{i % 10}" for i in range(40)})) == "speaker, seed 0"
    assert protocol_of(spoken({f"clip{i}": f"speaker{i % 9}" for i in range(40)})) == "recording, seed 0"


def spoken(speaker_of: dict[str, str]) -> RawCorpus:
    corpus = make_corpus("own", {recording: [("a",), ("b",)] for recording in speaker_of})
    return replace(corpus, utterances=tuple(replace(u, speaker=speaker_of[u.recording]) for u in corpus.utterances))


def test_splits_that_the_corpus_brings_are_kept_and_the_rest_is_told(iemocap: RawCorpus):
    first, second, *rest = iemocap.utterances
    utterances = (replace(first, split="test"), replace(second, split="train"), *rest)
    corpus = assign_splits(replace(iemocap, utterances=utterances), SplitSettings())
    assert splits_of(corpus) == {first.id: "test", second.id: "train"}
    assert {s.reason for s in corpus.skipped} == {"the corpus gives it no split"}
    assert len(corpus.skipped) == len(rest)
    with pytest.raises(UserError, match="does not put its utterances into splits"):
        assign_splits(iemocap, SplitSettings(protocol="corpus"))


def test_a_protocol_that_is_asked_for_wins_over_what_the_corpus_brings(iemocap: RawCorpus):
    brought = replace(iemocap, utterances=tuple(replace(u, split="train") for u in iemocap.utterances))
    assert assign_splits(brought, SplitSettings(protocol="session")) == assign_splits(
        iemocap, SplitSettings(protocol="session")
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_no_speaker_and_no_recording_is_shared(seed: int):
    corpus = make_corpus("own", {f"talk{i}": [("a",), ("b",)] for i in range(40)})
    couples = tuple(  # 13 couples, who speak in turns
        replace(u, speaker=f"{'ab'[i % 2]}{int(u.recording[4:]) % 13}") for i, u in enumerate(corpus.utterances)
    )
    corpus = assign_splits(replace(corpus, utterances=couples), SplitSettings(protocol="speaker", seed=seed))
    for attribute in ("speaker", "recording"):
        splits = defaultdict(set)
        for utterance in corpus.utterances:
            splits[getattr(utterance, attribute)].add(utterance.split)
        assert all(len(each) == 1 for each in splits.values())
    assert {u.split for u in corpus.utterances} == {"train", "valid", "test"}


def test_speakers_that_are_unknown_or_all_in_one_recording_are_user_errors():
    with pytest.raises(UserError, match="does not name its speakers"):
        assign_splits(make_corpus("mosei", {"x": [("a",)]}), SplitSettings(protocol="speaker"))
    corpus = make_corpus("own", {"party": [("a",)] * 5})
    guests = tuple(replace(u, speaker=f"guest{i}") for i, u in enumerate(corpus.utterances))
    with pytest.raises(UserError, match=r"5 speakers, .* make 1 groups; expected are at least 3"):
        assign_splits(replace(corpus, utterances=guests), SplitSettings(protocol="speaker"))


def test_lists_give_splits_and_tell_what_is_left(iemocap: RawCorpus, tmp_path: Path):
    ids = [u.id for u in iemocap.utterances]
    folder = write_lists(tmp_path, f"{ids[0]} {ids[1]} gone_1", ids[2], ids[3])
    corpus = assign_splits(iemocap, SplitSettings(protocol="lists"), folder)
    assert splits_of(corpus) == {ids[0]: "train", ids[1]: "train", ids[2]: "valid", ids[3]: "test"}
    assert corpus.listed == {"train": 3, "valid": 1, "test": 1}
    reasons = {s.item: s.reason for s in corpus.skipped}
    assert reasons.pop("gone_1") == "in the split lists, but not in the corpus"
    assert set(reasons) == set(ids[4:])
    assert all(reason.startswith("in no list") for reason in reasons.values())


def test_an_utterance_that_the_reader_left_out_is_not_told_twice(iemocap: RawCorpus, tmp_path: Path):
    known = replace(iemocap, skipped=(Skipped(item="gone_1", reason="label xxx"),))
    folder = write_lists(tmp_path, "gone_1", iemocap.utterances[0].id, iemocap.utterances[1].id)
    corpus = assign_splits(known, SplitSettings(), folder)
    assert [s.reason for s in corpus.skipped if s.item == "gone_1"] == ["label xxx"]


def test_lists_of_another_corpus_are_a_user_error(iemocap: RawCorpus, tmp_path: Path):
    with pytest.raises(UserError, match="name none of the 10 utterances"):
        assign_splits(iemocap, SplitSettings(), write_lists(tmp_path, "u1", "u2", "u3"))


def test_recordings_stay_whole_and_every_split_has_every_label():
    generator = np.random.default_rng(1)
    names = tuple("abcdef")
    recordings = {
        f"video{i}": [
            tuple(n for n in names if generator.random() < 0.15) for _ in range(int(generator.integers(1, 9)))
        ]
        for i in range(60)
    }
    recordings |= {f"rare{i}": [("rare",)] for i in range(3)}
    corpus = assign_splits(make_corpus("mosei", recordings, (*names, "rare")), SplitSettings(protocol="recording"))
    of_recording, labels = defaultdict(set), defaultdict(set)
    for utterance in corpus.utterances:
        of_recording[utterance.recording].add(utterance.split)
        labels[utterance.split].update(utterance.labels)
    assert all(len(splits) == 1 for splits in of_recording.values())
    assert all(labels[split] == {*names, "rare"} for split in ("train", "valid", "test"))
    counts = Counter(u.split for u in corpus.utterances)
    total = sum(counts.values())
    assert [round(counts[s] / total, 1) for s in ("train", "valid", "test")] == [0.7, 0.1, 0.2]


def test_the_seed_decides_the_recordings():
    corpus = make_corpus("mosei", {f"v{i}": [("a",)] for i in range(30)})
    first, again, other = (
        splits_of(assign_splits(corpus, SplitSettings(protocol="recording", seed=seed))) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("recordings", "used"), [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "test", "valid"})]
)
def test_few_recordings(recordings: int, used: set[str]):
    corpus = make_corpus("mosei", {f"v{i}": [()] for i in range(recordings)})
    assert set(splits_of(assign_splits(corpus, SplitSettings(protocol="recording"))).values()) == used


def test_no_split_is_empty_when_there_are_recordings_for_all():
    for seed in range(20):
        corpus = make_corpus("mosei", {"v1": [("a",)], "v2": [()], "v3": [("a", "b")], "v4": [("a",)] * 9})
        split = assign_splits(corpus, SplitSettings(protocol="recording", seed=seed))
        assert set(splits_of(split).values()) == {"train", "valid", "test"}


@pytest.mark.parametrize("name", ["IEMOCAP", "MOSEI"])
def test_the_published_lists_are_known_by_their_counts(shared, name: str):
    folder = shared(f"splits/{name}_SPLIT")
    ids = [id_ for path in folder.glob("*.txt") for id_ in path.read_text().split()]
    corpus = make_corpus(name.lower(), {id_: [("a",)] for id_ in ids})
    corpus = replace(corpus, utterances=tuple(replace(u, id=u.recording) for u in corpus.utterances[5:]))
    split = assign_splits(corpus, SplitSettings(), folder)
    sizes = {"IEMOCAP": (5162, 737, 1481), "MOSEI": (14524, 1765, 4188)}[name]
    assert tuple(split.listed.values()) == sizes
    assert split.split_protocol == f"published lists ({name}_SPLIT: {sizes[0]}/{sizes[1]}/{sizes[2]})"
    assert len(split.utterances) == sum(sizes) - 5
    assert [s.item for s in split.skipped] == sorted(ids[:5])
