"""The baselines over hand-crafted features."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from mme2e.config import FeatureSettings, ModelSettings, RnnSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.models import LateFusion, build_model
from mme2e.models.acoustic_feature_sets import acoustic_columns
from mme2e.models.debug import refuse_nan
from mme2e.models.feature_branch import RnnEncoder, Standardise
from mme2e.models.late_fusion import attention_heads

SIZES = {"text_size": 8, "acoustic_size": 6, "visual_size": 10}
NAMES = ("lf_rnn", "lf_transformer")


def make(name: str = "lf_rnn", modalities: str = "tav", **changes: object) -> LateFusion:
    torch.manual_seed(0)
    given = {"features": FeatureSettings(**SIZES), "num_layers": 1, "feedforward_dim": 8, **changes}
    model = build_model(ModelSettings(name=name, modalities=modalities, **given), num_emotions=3)
    assert isinstance(model, LateFusion)
    return model.eval()


def make_batch(words: tuple[int, ...], steps: tuple[int, ...], frames: tuple[int, ...]) -> Batch:
    generator = torch.Generator().manual_seed(1)

    def noise(lengths: tuple[int, ...], size: int) -> Ragged:
        return Ragged(torch.randn(sum(lengths), size, generator=generator), torch.tensor(lengths))

    return Batch(text_features=noise(words, 8), acoustic_features=noise(steps, 6), visual_features=noise(frames, 10))


@pytest.mark.parametrize("name", NAMES)
def test_company_does_not_matter_when_padding_is_masked(name: str) -> None:
    model, batch = make(name), make_batch((3, 1, 7), (9, 4, 1), (2, 2, 5))
    together = model(batch)
    for row in range(3):
        torch.testing.assert_close(model(batch.select([row])), together[row : row + 1], rtol=1e-5, atol=1e-5)
    assert together.std(dim=0).min() > 1e-4


def test_unmasked_padding_is_read_as_steps_of_zeros() -> None:
    model = make("lf_rnn", features=FeatureSettings(**SIZES, masked=False))
    batch = make_batch((3, 1), (2, 4), (2, 2))
    together = model(batch)
    assert not torch.allclose(model(batch.select([1])), together[1:], atol=1e-5)
    longer = batch.select([1])
    longer.text_features = Ragged.join([torch.cat([longer.text_features.values, torch.zeros(2, 8)])])
    torch.testing.assert_close(model(longer), together[1:], rtol=1e-5, atol=1e-5)


def test_unmasked_transformer_reads_padding_of_words_only() -> None:
    model = make("lf_transformer", "av", features=FeatureSettings(**SIZES, masked=False))
    batch = make_batch((3, 1), (2, 4), (2, 5))
    torch.testing.assert_close(model(batch.select([0])), model(batch)[:1], rtol=1e-5, atol=1e-5)
    words = make("lf_transformer", "t", features=FeatureSettings(**SIZES, masked=False))
    assert not torch.allclose(words(batch.select([1])), words(batch)[1:], atol=1e-5)


@pytest.mark.parametrize("fusion", ["late", "early"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("modalities", ["t", "a", "v", "vt", "tav"])
def test_every_modality_tells_and_learns(name: str, modalities: str, fusion: str) -> None:
    model = make(name, modalities, fusion=fusion, feature_dim=4)
    logits = model(make_batch((3, 1, 2, 5, 4), (2, 4, 1, 3, 1), (1, 2, 5, 3, 4)))
    assert logits.shape == (5, 3)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    assert not [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_has_no_say(name: str) -> None:
    model, batch = make(name), make_batch((3, 0), (2, 4), (2, 2))
    logits = model(batch)
    outputs = model.modality_outputs(batch)
    assert outputs.present.tolist() == [[True, True, True], [False, True, True]]
    alone = model.fusion(outputs.values[1:, :], torch.tensor([[False, True, True]]))
    torch.testing.assert_close(logits[1:], alone)
    batch.acoustic_features = None
    assert model(batch).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_missing_modalities(name: str) -> None:
    batch = dataclasses.replace(make_batch((3, 0), (2, 0), (2, 0)), ids=("one", "two"))
    with pytest.raises(UserError, match="utterance two has none of the modalities"):
        make(name)(batch)
    with pytest.raises(UserError, match="utterance number 0 of the batch has none"):
        make(name)(Batch(tokens=Ragged.from_padded(torch.ones(2, 3, dtype=torch.int64))))


def test_one_utterance_of_one_step() -> None:
    for name in NAMES:
        assert make(name)(make_batch((1,), (1,), (1,))).isfinite().all()


class TestRnn:
    @pytest.mark.parametrize("gru", [False, True])
    @pytest.mark.parametrize("bidirectional", [False, True])
    def test_final_states_of_each_sequence(self, gru: bool, bidirectional: bool) -> None:
        torch.manual_seed(0)
        settings = RnnSettings(gru=gru, bidirectional=bidirectional, num_layers=2, hidden_size=3)
        encoder = RnnEncoder(4, settings).eval()
        assert isinstance(encoder.rnn, nn.GRU if gru else nn.LSTM)
        vectors, lengths = torch.randn(7, 4), [2, 4, 1]
        found = encoder(vectors, torch.tensor(lengths))
        assert found.shape == (3, encoder.out_dim) == (3, 6 if bidirectional else 3)
        for row, sequence in enumerate(vectors.split(lengths)):
            output, _ = encoder.rnn(sequence[None])
            wanted = [output[0, -1, :3], *([output[0, 0, 3:]] if bidirectional else [])]
            torch.testing.assert_close(found[row], torch.cat(wanted))

    def test_last_step(self) -> None:
        encoder = RnnEncoder(4, RnnSettings(), takes_last_step=True).eval()
        vectors, lengths = torch.randn(5, 4), [2, 3]
        found = encoder(vectors, torch.tensor(lengths))
        for row, sequence in enumerate(vectors.split(lengths)):
            torch.testing.assert_close(found[row], encoder.rnn(sequence[None])[0][0, -1])

    def test_width_is_that_of_the_features_unless_given(self) -> None:
        assert RnnEncoder(4, RnnSettings()).out_dim == 8
        assert RnnEncoder(4, RnnSettings(bidirectional=False, hidden_size=9)).out_dim == 9


class TestStandardise:
    def test_identity_at_first(self) -> None:
        features = torch.randn(3, 4)
        assert torch.equal(Standardise(4)(features), features)

    def test_mean_and_deviation(self) -> None:
        features = torch.randn(50, 4) * 7 + 3
        standardise = Standardise(4)
        standardise.set_statistics(features.mean(dim=0), features.std(dim=0))
        found = standardise(features)
        torch.testing.assert_close(found.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(found.std(dim=0), torch.ones(4))
        assert set(standardise.state_dict()) == {"mean", "std"}

    def test_columns_are_chosen_in_their_order(self) -> None:
        features = torch.arange(8.0).view(2, 4)
        standardise = Standardise(4, (3, 0, 3))
        assert torch.equal(standardise(features), features[:, [3, 0, 3]])
        standardise.set_statistics(torch.arange(4.0), torch.full((4,), 2.0))
        assert torch.equal(standardise(features)[1], torch.tensor([2.0, 2.0, 2.0]))

    def test_other_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"expected features of 4 columns, not of shape \(2, 5\)"):
            Standardise(4)(torch.zeros(2, 5))
        with pytest.raises(ValueError, match="column 4 is not among 4"):
            Standardise(4, (1, 4))
        with pytest.raises(ValueError, match=r"mean has shape \(5,\) for 4 columns"):
            Standardise(4).set_statistics(torch.zeros(5), torch.ones(5))


@pytest.mark.parametrize(
    ("letter", "size", "heads"),
    [("t", 300, 4), ("a", 144, 2), ("v", 35, 5), ("v", 17, 1), ("t", 6, 3), ("a", 1, 1), ("t", 1, 1)],
)
def test_heads_divide_the_size(letter: str, size: int, heads: int) -> None:
    assert attention_heads(letter, size) == heads


class TestAcousticFeatureSets:
    def test_they_are_the_reference_s(self, shared) -> None:  # type: ignore[no-untyped-def]
        sets = json.loads(shared("golden/acoustic_feature_sets.json").read_text())["sets"]
        for number, wanted in sets.items():
            columns = [column for first, last in wanted["ranges"] for column in range(first, last + 1)]
            assert len(columns) == wanted["count"]
            assert acoustic_columns(int(number)) == tuple(columns)

    def test_sizes(self) -> None:
        assert [len(acoustic_columns(number)) for number in range(7)] == [144, 120, 130, 34, 70, 106, 306]

    @pytest.mark.parametrize("number", [-1, 7])
    def test_there_are_seven(self, number: int) -> None:
        with pytest.raises(ValueError, match=f"0 to 6, not {number}"):
            acoustic_columns(number)
        with pytest.raises(UserError, match=rf"audio_feature_type must be 0 to 6, not {number}"):
            FeatureSettings(audio_feature_type=number)

    @pytest.mark.parametrize("name", NAMES)
    def test_the_model_reads_the_chosen_columns_only(self, name: str) -> None:
        features = FeatureSettings(acoustic_size=800, audio_feature_type=3)
        model = make(name, "a", features=features)
        sound = torch.randn(4, 800)
        batch = Batch(acoustic_features=Ragged(sound, torch.tensor([1, 3])))
        logits = model(batch)
        sound[:, 34:] = 9
        assert torch.equal(model(batch), logits)
        sound[:, 33] = 9
        assert not torch.equal(model(batch), logits)

    def test_features_without_those_columns(self) -> None:
        with pytest.raises(UserError, match=r"audio_feature_type 0 .* at least 763 a step; these have 144"):
            make(modalities="a", features=FeatureSettings(acoustic_size=144, audio_feature_type=0))


def test_unknown_sizes_are_named() -> None:
    with pytest.raises(UserError, match=r"model\.features\.visual_size is not known"):
        make(features=FeatureSettings(text_size=3, acoustic_size=3))
    make(modalities="ta", features=FeatureSettings(text_size=3, acoustic_size=3))


def test_debugging_names_the_modality_with_nan() -> None:
    model, batch = make(), make_batch((3, 1), (2, 4), (2, 2))
    refuse_nan(model)
    model(batch)
    batch.acoustic_features.values[1, 2] = torch.nan
    with pytest.raises(UserError, match=r"branches\.acoustic\.standardise: 1 of 36 numbers are NaN"):
        model(batch)
