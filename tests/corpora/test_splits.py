from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from mme2e.config import SplitSettings
from mme2e.corpora import RawCorpus, Utterance
from mme2e.corpora.splits import assign_splits
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


def write_lists(folder: Path, train: str, valid: str, test: str) -> str:
    for name, ids in (("train", train), ("valid", valid), ("test", test)):
        (folder / f"{name}_split.txt").write_text("".join(f"{id_}\n" for id_ in ids.split()))
    return str(folder)


@pytest.mark.parametrize(("fold", "validation"), [(1, 5), (2, 1), (5, 4)])
def test_a_session_is_tested_and_the_one_before_validates(iemocap: RawCorpus, fold: int, validation: int):
    corpus, phrase = assign_splits(iemocap, SplitSettings(protocol="session", fold=fold))
    assert phrase == f"session, fold {fold}"
    for utterance in corpus.utterances:
        session = int(utterance.recording[4])
        assert utterance.split == {fold: "test", validation: "valid"}.get(session, "train")


def test_a_missing_session_is_a_user_error(iemocap: RawCorpus):
    part = make_corpus("iemocap", {"Ses01F_impro01": [("a",)], "Ses02F_impro01": [("a",)]})
    with pytest.raises(UserError, match=r"split\.fold 5: the corpus has sessions 1, 2"):
        assign_splits(part, SplitSettings(protocol="session"))
    with pytest.raises(UserError, match="no sessions"):
        assign_splits(make_corpus("mosei", {"x": [("a",)]}), SplitSettings(protocol="session"))


def test_auto_chooses_by_corpus_and_lists(iemocap: RawCorpus, tmp_path: Path):
    ids = [u.id for u in iemocap.utterances]
    folder = write_lists(tmp_path, ids[0], ids[1], ids[2])
    assert assign_splits(iemocap, SplitSettings())[1] == "session, fold 5"
    assert assign_splits(iemocap, SplitSettings(lists=folder))[1].startswith("published lists")
    assert assign_splits(make_corpus("mosei", {"x": [("a",)]}), SplitSettings())[1] == "recording, seed 0"
    assert (
        assign_splits(make_corpus("iemocap", {"Ses01F_impro01": [("a",)]}), SplitSettings())[1] == "recording, seed 0"
    )


def test_lists_give_splits_and_tell_what_is_left(iemocap: RawCorpus, tmp_path: Path):
    ids = [u.id for u in iemocap.utterances]
    folder = write_lists(tmp_path, f"{ids[0]} {ids[1]} gone_1", ids[2], ids[3])
    corpus, _ = assign_splits(iemocap, SplitSettings(protocol="lists", lists=folder))
    assert splits_of(corpus) == {ids[0]: "train", ids[1]: "train", ids[2]: "valid", ids[3]: "test"}
    reasons = {s.item: s.reason for s in corpus.skipped}
    assert reasons.pop("gone_1") == "in the split lists, but not in the corpus"
    assert set(reasons) == set(ids[4:])
    assert all(reason.startswith("in no list") for reason in reasons.values())


def test_an_id_in_two_lists_is_a_user_error(iemocap: RawCorpus, tmp_path: Path):
    folder = write_lists(tmp_path, "u1", "u2", "u1")
    with pytest.raises(UserError, match=r"'u1' is in train_split.txt and in test_split.txt"):
        assign_splits(iemocap, SplitSettings(lists=folder))


def test_lists_of_another_corpus_are_a_user_error(iemocap: RawCorpus, tmp_path: Path):
    with pytest.raises(UserError, match="name none of the 10 utterances"):
        assign_splits(iemocap, SplitSettings(lists=write_lists(tmp_path, "u1", "u2", "u3")))


def test_missing_and_empty_lists_are_user_errors(iemocap: RawCorpus, tmp_path: Path):
    with pytest.raises(UserError, match=r"has no train_split.txt"):
        assign_splits(iemocap, SplitSettings(lists=str(tmp_path)))
    with pytest.raises(UserError, match=r"valid_split.txt is empty"):
        assign_splits(iemocap, SplitSettings(lists=write_lists(tmp_path, "u1", "", "u3")))


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
    corpus, _ = assign_splits(make_corpus("mosei", recordings, (*names, "rare")), SplitSettings(protocol="recording"))
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
        splits_of(assign_splits(corpus, SplitSettings(protocol="recording", seed=seed))[0]) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("recordings", "used"), [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "test", "valid"})]
)
def test_few_recordings(recordings: int, used: set[str]):
    corpus = make_corpus("mosei", {f"v{i}": [()] for i in range(recordings)})
    assert set(splits_of(assign_splits(corpus, SplitSettings(protocol="recording"))[0]).values()) == used


@pytest.mark.parametrize("name", ["IEMOCAP_SPLIT", "MOSEI_SPLIT"])
def test_the_published_lists_are_accepted(shared, name: str):
    folder = shared(f"splits/{name}")
    ids = [id_ for path in folder.glob("*.txt") for id_ in path.read_text().split()]
    corpus = make_corpus("iemocap", {id_: [("a",)] for id_ in ids})
    utterances = tuple(u.__class__(**{**u.__dict__, "id": u.recording}) for u in corpus.utterances)
    corpus = corpus.__class__(**{**corpus.__dict__, "utterances": utterances})
    counts = Counter(splits_of(assign_splits(corpus, SplitSettings(lists=str(folder)))[0]).values())
    sizes = {"IEMOCAP_SPLIT": (5162, 737, 1481), "MOSEI_SPLIT": (14524, 1765, 4188)}[name]
    assert (counts["train"], counts["valid"], counts["test"]) == sizes
