import io
import os
import signal
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tiny_corpus import LABEL_NAMES, write_tiny_corpus

from mme2e.config import AudioAugmentSettings, AugmentSettings, FaceAugmentSettings, TextAugmentSettings
from mme2e.data.batch import Batch, collate
from mme2e.data.corpus import load_corpus
from mme2e.data.dataset import Draw, UtteranceDataset
from mme2e.data.loader import LengthBatchSampler, make_dataloader
from mme2e.data.ragged import Ragged
from mme2e.errors import MediaError, UserError
from mme2e.faces.face_crop import FaceFlag
from mme2e.media.audio import decode_flac
from mme2e.text import train_tokenizer


class Words:
    """A tokenizer: [CLS] words [SEP], with what the dataset asks of a transformers tokenizer."""

    unk_token = "[UNK]"

    def __init__(self):
        self.vocabulary = {"[UNK]": 3}

    def __call__(self, text, truncation, max_length):
        ids = [self.vocabulary.setdefault(word, len(self.vocabulary) + 10) for word in text.split()]
        return {"input_ids": [1, *ids[: max_length - 2], 2]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return load_corpus(write_tiny_corpus(tmp_path_factory.mktemp("corpora") / "corpus", utterances_per_split=7))


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """A corpus whose first utterances lack text, sound, picture, and all three."""
    folder = write_tiny_corpus(tmp_path_factory.mktemp("gappy") / "corpus")
    path = folder / "train" / "00000.parquet"
    rows = pq.read_table(path)
    schema, rows = rows.schema, rows.to_pylist()
    for row in (rows[0], rows[3]):
        row["text"] = None
    for row in (rows[1], rows[3]):
        row.update(audio=None, num_samples=0)
    for row in (rows[2], rows[3]):
        row.update(face_crops=[], face_times_s=[], face_flags=[], face_boxes=[])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return load_corpus(folder)


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    folder = write_tiny_corpus(tmp_path_factory.mktemp("voted") / "corpus", 3)
    path = folder / "train" / "00000.parquet"
    rows = pq.read_table(path)
    schema, rows = rows.schema, rows.to_pylist()
    rows[0]["votes"], rows[2]["votes"] = [1.0, 2.0, 5.0], [3.0]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return load_corpus(folder)


class TestTargets:
    """Shares of votes."""

    def test_an_item_has_the_shares_or_its_labels(self, voted):
        dataset = UtteranceDataset(voted, "train", "a", votes=True)
        assert dataset[0].targets.tolist() == [0.125, 0.25, 0.625]
        assert dataset[0].labels.tolist() == [1, 0, 0]
        assert dataset[1].targets.tolist() == dataset[1].labels.tolist() == [0, 1, 0]
        with pytest.raises(UserError, match="votes for 1 emotions"):
            dataset[2]

    def test_a_batch_carries_them(self, voted):
        dataset = UtteranceDataset(voted, "train", "a", votes=True)
        batch = collate([dataset[0], dataset[1]])
        assert batch.targets.tolist() == [[0.125, 0.25, 0.625], [0, 1, 0]]
        assert batch.select([1]).targets.tolist() == [[0, 1, 0]]
        assert batch.to("meta").targets.device.type == "meta"
        assert batch.with_mel_chunks().hidden("a", torch.tensor([True, False])).targets is batch.targets

    def test_they_are_not_there_unless_asked_for(self, voted):
        dataset = UtteranceDataset(voted, "train", "a")
        assert dataset[0].targets is None
        assert collate([dataset[0], dataset[2]]).targets is None


def test_an_item_holds_what_the_row_holds(corpus):
    row = corpus.split("train")[2]
    item = UtteranceDataset(corpus, "train", "tav", Words())[2]
    crops = [np.asarray(Image.open(io.BytesIO(crop))) for crop in row["face_crops"]]
    assert item.id == row["id"]
    assert item.face_crops.dtype == torch.uint8
    assert item.face_crops.is_contiguous()
    assert torch.equal(item.face_crops, torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))
    assert torch.equal(item.waveform, torch.from_numpy(decode_flac(row["audio"])))
    assert item.waveform.dtype == torch.int16
    assert item.tokens.tolist()[0] == 1
    assert len(item.tokens) == len(row["text"].split()) + 2
    assert item.labels.tolist() == [float(name in row["labels"]) for name in LABEL_NAMES]


def test_long_texts_are_cut(corpus):
    assert len(UtteranceDataset(corpus, "train", "t", Words(), max_length=4)[0].tokens) == 4


@pytest.mark.parametrize(("modalities", "absent"), [("t", "av"), ("a", "tv"), ("v", "ta"), ("ta", "v"), ("tav", "")])
def test_only_the_modalities_asked_for_are_read(corpus, modalities, absent):
    dataset = UtteranceDataset(corpus, "train", modalities, Words())
    batch = collate([dataset[i] for i in range(3)])
    names = {"t": "tokens", "a": "waveforms", "v": "face_crops"}
    assert all(getattr(batch, names[letter]) is not None for letter in modalities)
    assert all(getattr(batch, names[letter]) is None for letter in absent)
    assert len(batch) == 3


def test_a_batch_is_its_utterances_side_by_side(corpus):
    dataset = UtteranceDataset(corpus, "train", "tav", Words())
    items = [dataset[i] for i in (4, 0, 6)]
    batch = collate(items)
    assert batch.ids == tuple(item.id for item in items)
    crops, waveforms, tokens = batch.face_crops.split(), batch.waveforms.split(), batch.tokens.split()
    for index, item in enumerate(items):
        assert torch.equal(crops[index], item.face_crops)
        assert torch.equal(waveforms[index], item.waveform)
        assert torch.equal(tokens[index], item.tokens)
        assert torch.equal(batch.labels[index], item.labels)


def test_mel_chunks_are_made_from_the_waveforms(corpus):
    dataset = UtteranceDataset(corpus, "train", "a")
    batch = collate([dataset[i] for i in range(3)]).with_mel_chunks()
    assert batch.mel_chunks.values.shape == (int(batch.mel_chunks.lengths.sum()), 1, 128, 32)
    assert (batch.mel_chunks.lengths > 0).all()
    assert batch.with_mel_chunks() is batch
    assert Batch(labels=batch.labels).with_mel_chunks().mel_chunks is None


def test_missing_modalities_have_length_zero_and_no_presence(gappy):
    dataset = UtteranceDataset(gappy, "train", "tav", Words())
    batch = collate([dataset[i] for i in range(3)]).with_mel_chunks()
    assert batch.present("t").tolist() == [False, True, True]
    assert batch.present("a").tolist() == [True, False, True]
    assert batch.present("v").tolist() == [True, True, False]
    assert batch.mel_chunks.lengths.tolist()[1] == 0
    assert batch.tokens.lengths[0] == 0


@pytest.mark.parametrize(("modalities", "left_out"), [("tav", [3]), ("t", [0, 3]), ("a", [1, 3]), ("v", [2, 3])])
def test_utterances_with_nothing_to_look_at_are_left_out(gappy, modalities, left_out):
    ids = gappy.split("train")["id"]
    dataset = UtteranceDataset(gappy, "train", modalities, Words())
    assert list(dataset.left_out) == [ids[i] for i in left_out]
    assert [dataset[i].id for i in range(len(dataset))] == [each for each in ids if each not in dataset.left_out]
    assert len(dataset.costs) == len(dataset)


def test_crops_without_any_face_are_no_picture(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus")
    path = folder / "train" / "00000.parquet"
    rows = pq.read_table(path)
    schema, rows = rows.schema, rows.to_pylist()
    rows[0]["face_flags"] = [FaceFlag.CENTRE] * len(rows[0]["face_flags"])
    rows[1]["face_flags"] = [FaceFlag.CENTRE, *[FaceFlag.TRACKED] * (len(rows[1]["face_flags"]) - 1)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    corpus = load_corpus(folder)
    dataset = UtteranceDataset(corpus, "train", "av")
    assert len(dataset[0].face_crops) == 0
    assert len(dataset[1].face_crops) == len(rows[1]["face_flags"])
    assert UtteranceDataset(corpus, "train", "v").left_out == (rows[0]["id"],)


def test_a_split_without_the_modality_is_refused(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus")
    path = folder / "train" / "00000.parquet"
    rows = pq.read_table(path)
    schema, rows = rows.schema, rows.to_pylist()
    for row in rows:
        row.update(audio=None, num_samples=0)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    with pytest.raises(UserError, match="no utterance of 'train' can be used: all have none of the modalities 'a'"):
        UtteranceDataset(load_corpus(folder), "train", "a")


def test_text_wants_a_tokenizer(corpus):
    with pytest.raises(UserError, match="tokenizer"):
        UtteranceDataset(corpus, "train", "tv")


def test_an_empty_split_is_named(corpus):
    with pytest.raises(UserError, match="unassigned"):
        UtteranceDataset(corpus, "unassigned", "v")


def test_a_damaged_sound_is_no_silence(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus")
    path = folder / "train" / "00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["audio"] = b"no sound"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    with pytest.raises(MediaError):
        UtteranceDataset(load_corpus(folder), "train", "a")[0]


def test_costs_grow_with_frames_samples_and_letters(corpus):
    rows = corpus.split("train")
    by_frames = UtteranceDataset(corpus, "train", "v").costs
    assert np.allclose(by_frames / by_frames[0], [len(row["face_crops"]) / len(rows[0]["face_crops"]) for row in rows])
    assert UtteranceDataset(corpus, "train", "t", Words()).costs.tolist() == [len(row["text"]) for row in rows]
    assert (UtteranceDataset(corpus, "train", "av").costs > by_frames).all()


@pytest.mark.parametrize("count", [1, 2, 7, 64, 1001])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_utterance_comes_once(count, batch_size, shuffle):
    sampler = LengthBatchSampler(np.arange(count) % 13, batch_size, shuffle=shuffle)
    batches = list(sampler)
    assert sorted(draw.utterance for batch in batches for draw in batch) == list(range(count))
    assert len(batches) == len(sampler)
    assert sorted(len(batch) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)


def test_without_shuffle_the_order_is_the_corpus_own():
    batches = list(LengthBatchSampler([3, 1, 2], 2, shuffle=False))
    assert batches == [[Draw(0, 0), Draw(1, 0)], [Draw(2, 0)]]


def test_the_order_follows_from_seed_and_epoch():
    costs = np.random.default_rng(0).random(200)

    def order(seed, epoch):
        sampler = LengthBatchSampler(costs, 8, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return [[draw.utterance for draw in batch] for batch in sampler]

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_batches_hold_similar_lengths():
    costs = np.random.default_rng(0).lognormal(size=1600)
    batches = [[costs[draw.utterance] for draw in batch] for batch in LengthBatchSampler(costs, 8, shuffle=True)]
    random = np.random.default_rng(1).permutation(costs).reshape(-1, 8)
    assert np.mean([np.std(batch) for batch in batches]) < 0.3 * np.mean(random.std(axis=1))


@pytest.mark.parametrize("count", [1, 9, 64])
def test_replicas_share_an_epoch_in_equal_numbers(count):
    samplers = [LengthBatchSampler(np.arange(count), 4, shuffle=True, num_replicas=3, rank=rank) for rank in range(3)]
    batches = [list(sampler) for sampler in samplers]
    assert len({len(b) for b in batches}) == 1
    assert {draw.utterance for b in batches for batch in b for draw in batch} == set(range(count))


def tensors(batch):
    ragged = [v for v in vars(batch).values() if isinstance(v, Ragged)]
    return [batch.labels, *(tensor for each in ragged for tensor in (each.values, each.lengths, each.present))]


def same(first, second):
    return first.ids == second.ids and all(map(torch.equal, tensors(first), tensors(second)))


ALL = AugmentSettings(crop_jitter_px=3, flip=0.5, brightness=0.3, word_dropout=0.3)
EVERYTHING = replace(
    ALL,
    faces=FaceAugmentSettings(
        rotation_deg=20,
        scale=0.2,
        contrast=0.3,
        gamma=0.3,
        grey=0.5,
        occlusion=0.5,
        blur=0.5,
        low_resolution=0.5,
        jpeg=0.5,
    ),
    audio=AudioAugmentSettings(
        time_shift_s=0.3, speed=0.1, room=0.5, noise=0.9, gain_db=10, clipping=0.5, telephone=0.5, codec=0.5
    ),
    text=TextAugmentSettings(lower_case=0.5, no_punctuation=0.5, word_deletion=0.2),
)


def test_workers_give_what_one_process_gives_and_epochs_differ(corpus):
    tokenizer = Words()
    dataset = UtteranceDataset(corpus, "train", "tav", tokenizer)
    for index in range(len(dataset)):  # a worker's own copy of this stateful tokenizer must know all words already
        dataset[index]
    settings = {"batch_size": 3, "shuffle": True, "seed": 5, "augment": ALL}
    alone = make_dataloader(dataset, **settings)
    helped = make_dataloader(dataset, num_workers=1, **settings)
    epochs = []
    for epoch in (0, 1):
        alone.batch_sampler.set_epoch(epoch)
        helped.batch_sampler.set_epoch(epoch)
        epochs.append(list(alone))
        assert all(map(same, epochs[-1], list(helped)))
    assert not all(map(same, *epochs))
    assert sorted(id_ for batch in epochs[0] for id_ in batch.ids) == sorted(corpus.split("train")["id"])


def test_augmentation_of_everything_is_the_same_in_two_workers_and_in_any_batch(corpus):
    tokenizer = train_tokenizer(corpus.texts("train"), vocab_size=100)
    dataset = UtteranceDataset(corpus, "train", "tav", tokenizer)
    settings = {"shuffle": True, "seed": 5, "augment": EVERYTHING}
    alone = make_dataloader(dataset, batch_size=3, **settings)
    helped = make_dataloader(dataset, batch_size=3, num_workers=2, **settings)
    epochs = []
    for epoch in (0, 1):
        alone.batch_sampler.set_epoch(epoch)
        helped.batch_sampler.set_epoch(epoch)
        epochs.append(list(alone))
        assert all(map(same, epochs[-1], list(helped)))
    singly = {batch.ids[0]: batch for batch in make_dataloader(dataset, batch_size=1, **settings)}
    waveforms = {}
    for number, epoch in enumerate(epochs):
        for batch in epoch:
            for position, utterance in enumerate(batch.ids):
                waveforms[number, utterance] = batch.waveforms.split()[position]
                if number == 0:
                    assert same(batch.select([position]), singly[utterance])
    assert not any(
        torch.equal(waveform, waveforms[1, utterance])
        for (number, utterance), waveform in waveforms.items()
        if not number
    )


def test_augmenting_audio_leaves_what_faces_and_text_draw_alone(corpus):
    dataset = UtteranceDataset(corpus, "train", "tav", Words())
    plain = next(iter(make_dataloader(dataset, batch_size=7, augment=ALL)))
    heard = next(iter(make_dataloader(dataset, batch_size=7, augment=replace(ALL, audio=EVERYTHING.audio))))
    assert torch.equal(plain.face_crops.values, heard.face_crops.values)
    assert torch.equal(plain.tokens.values, heard.tokens.values)
    assert not torch.equal(plain.waveforms.values, heard.waveforms.values)


def test_augmentation_of_utterances_that_lack_something(gappy):
    dataset = UtteranceDataset(gappy, "train", "tav", Words())
    (batch,) = make_dataloader(dataset, batch_size=20, augment=EVERYTHING)
    (plain,) = make_dataloader(dataset, batch_size=20)
    for letter in "tav":
        assert torch.equal(batch.present(letter), plain.present(letter))


def test_augmentation_that_is_off_changes_not_one_bit(corpus):
    dataset = UtteranceDataset(corpus, "train", "tav", Words())
    plain = list(make_dataloader(dataset, batch_size=2))
    off = list(make_dataloader(dataset, batch_size=2, augment=AugmentSettings()))
    assert all(map(same, plain, off))


def test_augmentation_changes_crops_and_words_but_not_the_dataset(corpus):
    dataset = UtteranceDataset(corpus, "train", "tav", Words())
    plain = next(iter(make_dataloader(dataset, batch_size=7)))
    augmented = next(iter(make_dataloader(dataset, batch_size=7, augment=ALL)))
    assert not torch.equal(plain.face_crops.values, augmented.face_crops.values)
    assert (augmented.tokens.values == 3).any()
    assert torch.equal(plain.waveforms.values, augmented.waveforms.values)
    assert same(plain, next(iter(make_dataloader(dataset, batch_size=7))))


def test_word_dropout_wants_an_unknown_token(corpus):
    tokenizer = Words()
    tokenizer.unk_token = None
    dataset = UtteranceDataset(corpus, "train", "t", tokenizer)
    with pytest.raises(UserError, match="unknown token"):
        make_dataloader(dataset, batch_size=2, augment=AugmentSettings(word_dropout=0.1))


def test_a_dropped_word_is_one_unknown_token_to_a_real_tokenizer(corpus):
    tokenizer = train_tokenizer(corpus.texts("train"), vocab_size=100)
    dataset = UtteranceDataset(corpus, "train", "t", tokenizer)
    batch = next(iter(make_dataloader(dataset, batch_size=7, augment=AugmentSettings(word_dropout=1.0))))
    words = [len(text.split()) for text in corpus.texts("train")]
    assert [int((ids == tokenizer.unk_token_id).sum()) for ids in batch.tokens.split()] == words


def test_a_pass_leaves_the_global_random_numbers_alone(corpus):
    loader = make_dataloader(UtteranceDataset(corpus, "train", "v"), batch_size=2, shuffle=True)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(loader)
    assert torch.equal(torch.rand(1), expected)


def test_workers_leave_ctrl_c_to_the_parent(corpus):
    dataset = UtteranceDataset(corpus, "train", "v", None)
    batches = iter(make_dataloader(dataset, batch_size=1, num_workers=1))
    next(batches)
    (worker,) = batches._workers
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(batches)) == 6
    assert worker.is_alive()
