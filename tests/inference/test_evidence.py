"""Evidence is what the recognizer itself says of segments with parts of them hidden."""

import base64
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from test_batching import observation_of, recognizers  # noqa: F401  # a fixture

from mme2e.inference.evidence.evidence import MOST_WORDS, evidence_of, split_words
from mme2e.inference.evidence.occlusion import Hiding, Occlusion
from mme2e.inference.recognizer import Recognizer
from mme2e.inference.timeline import Evidence
from mme2e.perception.observation import Observation

Recognizers = Callable[[str], Recognizer]
MODELS = ["fe2e", "mesm", "mesm without text"]
TEXT = "what a lovely day"


def the_evidence(recognizer: Recognizer, observation: Observation, text: str | None, **asked: object) -> Evidence:
    (found,) = evidence_of(recognizer, [recognizer.read(observation, text)], **asked)  # type: ignore[arg-type]
    assert found is not None
    return found


def answer(recognizer: Recognizer, observation: Observation, text: str | None, emotion: str) -> float:
    """The probability that a forward pass of its own gives."""
    segment = recognizer.read(observation, text)
    emotions = recognizer.decide(recognizer.infer(observation, text).logits, segment.used)
    return next(each.probability for each in emotions if each.name == emotion)


@pytest.mark.parametrize("name", MODELS)
def test_evidence_is_what_forward_passes_of_their_own_say(recognizers: Recognizers, name: str) -> None:  # noqa: F811
    recognizer = recognizers(name)
    observation = observation_of(4, 1.7)
    found = the_evidence(recognizer, observation, TEXT, moments=99, reselect=True)
    emotions = recognizer.decide(recognizer.infer(observation, TEXT).logits)
    top = max(emotions, key=lambda each: each.probability)
    assert (found.emotion, found.probability) == (top.name, pytest.approx(top.probability, abs=1e-5))

    blind = replace(observation, faces=(), video=replace(observation.video, missing="hidden"))
    deaf = replace(observation, samples=observation.samples[:0], audio=replace(observation.audio, missing="hidden"))
    assert found.without["visual"] == pytest.approx(answer(recognizer, blind, TEXT, found.emotion), abs=1e-5)
    assert found.without["acoustic"] == pytest.approx(answer(recognizer, deaf, TEXT, found.emotion), abs=1e-5)
    if name == "mesm":
        assert "text" not in found.without  # it cannot answer without
    else:
        assert found.without["text"] == pytest.approx(answer(recognizer, observation, None, found.emotion), abs=1e-5)

    assert [word.text for word in found.words] == TEXT.split()
    rests = ["a lovely day", "what lovely day", "what a day", "what a lovely"]
    for word, rest in zip(found.words, rests, strict=True):
        left = answer(recognizer, observation, rest, found.emotion)
        assert word.effect == pytest.approx(found.probability - left, abs=2e-5)

    faces = [moment for moment in found.moments if moment.modality == "visual"]
    assert len(faces) == 4
    for moment in faces:
        kept = tuple(face for face in observation.faces if face.time_s != moment.start_s)
        left = answer(recognizer, replace(observation, faces=kept), TEXT, found.emotion)
        assert moment.effect == pytest.approx(found.probability - left, abs=2e-5)
    assert len(found.moments) == 4 + 5  # 1.7 s are five chunks
    assert [abs(moment.effect) for moment in found.moments] == sorted(
        (abs(moment.effect) for moment in found.moments), reverse=True
    )


def test_what_one_word_does_is_found(recognizers: Recognizers) -> None:  # noqa: F811
    recognizer = recognizers("fe2e")
    encoder = recognizer.model.text
    word = int(recognizer.tokenizer("lovely")["input_ids"][1])

    class Planted(torch.nn.Module):
        """Says "hap" where the text holds the word, and "neu" where it does not."""

        head = torch.nn.Identity()
        head.in_features, head.out_features, head.weight = 3, 3, torch.zeros(1)  # type: ignore[assignment]

        def encode(self, tokens):  # type: ignore[no-untyped-def]
            has = torch.stack([(each == word).any() for each in tokens.split()]).float()
            return torch.stack([torch.zeros_like(has), 9 * has, 2 * torch.ones_like(has)], dim=1)

    try:
        recognizer.model.text = Planted()
        found = the_evidence(recognizer, observation_of(0, 0.0), "what a lovely day", moments=3)
    finally:
        recognizer.model.text = encoder
    assert found.emotion == "hap"
    assert [word.effect > 0.5 for word in found.words] == [False, False, True, False]
    assert (found.without, found.moments) == ({}, ())


def test_the_crop_that_matters_is_the_first_moment(recognizers: Recognizers, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    recognizer = recognizers("fe2e")
    observation = observation_of(6, 0.0)
    faces = [replace(face, crop=np.full_like(face.crop, 90)) for face in observation.faces]
    faces[4] = replace(faces[4], crop=np.full_like(faces[4].crop, 250))
    observation = replace(observation, faces=tuple(faces))
    branch = recognizer.model.visual
    monkeypatch.setattr(
        branch.tower,
        "forward",
        lambda maps, trace=None: (maps.float().mean((1, 2, 3)) > 200).float()[:, None].expand(-1, 8),
    )

    def brightest(vectors):  # type: ignore[no-untyped-def]
        bright = torch.stack([each.sum() for each in vectors.split()])
        return torch.stack([bright, 0 * bright, 0 * bright], dim=1)

    monkeypatch.setattr(branch, "gather", brightest)
    found = the_evidence(recognizer, observation, None, moments=2)
    assert (found.emotion, found.moments[0].start_s, found.moments[0].end_s) == ("ang", 12.0, 12.5)
    assert found.moments[0].effect > 0.3
    assert [moment.effect for moment in found.moments[1:]] == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_segments_side_by_side_get_the_evidence_of_each_alone(recognizers: Recognizers, name: str) -> None:  # noqa: F811
    recognizer = recognizers(name)
    given = [
        (observation_of(4, 2.0, seed=1), TEXT),
        (observation_of(3, 0.0, seed=2), "furious"),
        (observation_of(0, 1.0, seed=3), None),
        (observation_of(0, 0.0), "gloomy day"),
        (observation_of(0, 0.0), None),
        (observation_of(1, 0.2, seed=4), "it was " * 60),
    ]
    segments = [recognizer.read(*each) for each in given]
    many = evidence_of(recognizer, segments)
    assert many[4] is None
    assert (many[2] is None) == (name == "mesm")
    for segment, found in zip(segments, many, strict=True):
        (alone,) = evidence_of(recognizer, [segment])
        if found is None or alone is None:
            assert found is alone
            continue
        assert found.emotion == alone.emotion
        assert found.without == pytest.approx(alone.without, abs=1e-5)
        assert [word.effect for word in found.words] == pytest.approx([word.effect for word in alone.words], abs=2e-5)
        assert len(found.moments) == len(alone.moments)
    assert [len(found.words) for found in many if found is not None][-1] == MOST_WORDS


def test_what_is_the_only_thing_cannot_be_hidden(recognizers: Recognizers) -> None:  # noqa: F811
    recognizer = recognizers("fe2e")
    crop = the_evidence(recognizer, observation_of(1, 0.0), None)
    assert (crop.without, crop.words, crop.moments) == ({}, (), ())
    word = the_evidence(recognizer, observation_of(0, 0.0), " lovely\n")
    assert [each.text for each in word.words] == ["lovely"]
    assert evidence_of(recognizer, []) == []
    sound = the_evidence(recognizer, observation_of(0, 0.7), None, moments=1)
    (moment,) = sound.moments
    assert moment.modality == "acoustic"
    assert 10.0 <= moment.start_s < moment.end_s <= 10.7


@pytest.mark.parametrize("name", ["fe2e", "mesm"])
def test_images_and_sites_of_moments(recognizers: Recognizers, name: str) -> None:  # noqa: F811
    recognizer = recognizers(name)
    observation = observation_of(2, 2.0)
    quiet = observation.samples.copy()
    quiet[:] = (8000 * np.sin(np.arange(len(quiet)) * 2 * np.pi * 300 / 16_000)).astype(np.int16)
    observation = replace(observation, samples=quiet)
    inference = recognizer.infer(observation, TEXT, trace=name == "mesm")
    for moment in the_evidence(recognizer, observation, TEXT, moments=9).moments:
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(moment.image))))
        assert image.shape == ((48, 48, 3) if moment.modality == "visual" else (128, 32))
        number = round((moment.start_s - 10) / (0.5 if moment.modality == "visual" else 0.4))
        if moment.modality == "visual":
            np.testing.assert_array_equal(image, observation.faces[number].crop)
        elif number < 5:
            assert image[64:].mean() > image[:64].mean()  # 300 Hz is below
        if name == "fe2e":
            assert moment.sites == ()
            continue
        assert inference.sites is not None
        stages = inference.sites.visual if moment.modality == "visual" else inference.sites.acoustic
        assert stages is not None
        first, second, third = (stage.kept[number] for stage in stages)
        shares = np.zeros(first.shape)
        for row, column in np.ndindex(first.shape):
            kept = [first[row, column], second[row // 2, column // 2], third[row // 4, column // 4]]
            shares[row, column] = round(sum(kept) / 3, 2)
        np.testing.assert_allclose(moment.sites, shares if moment.modality == "visual" else shares[::-1], atol=1e-9)


def test_words_and_groups_of_words() -> None:
    assert split_words("") == split_words(" \n") == []
    assert split_words("a  b\nc") == [("a", "b\nc"), ("b", "a c"), ("c", "a  b")]
    words = " ".join(str(number) for number in range(41))
    groups = split_words(words)
    assert len(groups) == MOST_WORDS
    assert " ".join(group for group, _ in groups) == words
    assert groups[0] == ("0 1", words.removeprefix("0 1 "))
    assert [len(split_words("no " * number, 3)) for number in (1, 3, 4)] == [1, 3, 3]


def test_without_selecting_anew_the_sites_are_those_of_the_whole_text(recognizers: Recognizers) -> None:  # noqa: F811
    recognizer = recognizers("mesm without text")
    observation = observation_of(3, 1.0)
    segments = [recognizer.read(observation, TEXT)]
    hidings = [
        Hiding(segment=0),
        Hiding(segment=0, text="what a day"),
        Hiding(segment=0, text="what a day", modalities=frozenset({"text"})),
    ]
    fast, exact = (
        Occlusion(recognizer, segments, reselect=reselect).probabilities(hidings) for reselect in (False, True)
    )
    torch.testing.assert_close(fast[[0, 2]], exact[[0, 2]], rtol=0, atol=1e-6)
    assert not torch.equal(fast[1], fast[0])


def test_mistakes(recognizers: Recognizers) -> None:  # noqa: F811
    with pytest.raises(ValueError, match="moments must be 0 or more, not -1"):
        evidence_of(recognizers("fe2e"), [], moments=-1)
    assert the_evidence(recognizers("fe2e"), observation_of(2, 1.0), TEXT, moments=0).moments == ()


def test_threads_get_the_evidence_of_one(recognizers: Recognizers) -> None:  # noqa: F811
    recognizer = recognizers("mesm without text")
    segments = [recognizer.read(observation_of(3, 1.0, seed=number), TEXT) for number in range(4)]
    alone = [evidence_of(recognizer, [segment]) for segment in segments]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda segment: evidence_of(recognizer, [segment]), segments)) == alone
