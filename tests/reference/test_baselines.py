"""Checkpoints of LF_RNN and LF_TRANSFORMER under the reference's names."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mme2e.config import RnnSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.reference.baselines import baseline_name, baseline_of
from mme2e.reference.import_checkpoint import import_checkpoint
from mme2e.runs.folder import load_run

SIZES = {"t": 8, "a": 6, "v": 5}
HEADS = {"t": 4, "a": 2, "v": 5}


class Transformer(nn.Module):
    def __init__(self, size: int, heads: int, layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(size, heads, 7, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.cls_emb = nn.Embedding(1, size)


class Reference(nn.Module):
    """A baseline under the reference's names, one utterance at a time, from its description."""

    def __init__(self, kind: str, modalities: str = "tav", *, gru=False, both=True, hidden=None, layers=1) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.modalities = [letter for letter in "tav" if letter in modalities]
        self.both = both
        width = {letter: (hidden or size) * (2 if both else 1) for letter, size in SIZES.items()}
        if kind == "lf_rnn":
            make = nn.GRU if gru else nn.LSTM
            rnns = {
                letter: make(size, hidden or size, layers, batch_first=True, bidirectional=both)
                for letter, size in SIZES.items()
            }
            self.rnns = nn.ModuleDict(rnns)
        else:
            self.transformers = nn.ModuleDict({x: Transformer(SIZES[x], HEADS[x], layers) for x in SIZES})
            width = SIZES
        self.affines = nn.ModuleDict(
            {
                letter: nn.Sequential(nn.Linear(size, size // 2), nn.ReLU(), nn.Linear(size // 2, 4))
                for letter, size in width.items()
            }
        )
        self.weighted_fusion = nn.Linear(len(self.modalities), 1, bias=False)

    def vector(self, letter: str, sequence: Tensor) -> Tensor:
        if hasattr(self, "transformers"):
            transformer = self.transformers[letter]
            return transformer.encoder(torch.cat([transformer.cls_emb.weight, sequence])[None])[0, 0]
        output, state = self.rnns[letter](sequence[None])
        if letter == "t":
            return output[0, -1]
        hidden = state[0] if isinstance(state, tuple) else state
        return hidden[-2:, 0].flatten() if self.both else hidden[-1, 0]

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        logits = [self.affines[letter](self.vector(letter, features[letter])) for letter in self.modalities]
        return logits[0] if len(logits) == 1 else self.weighted_fusion(torch.stack(logits, dim=-1)).squeeze(-1)


def import_and_compare(reference: Reference, modalities: str, folder: Path) -> RnnSettings:
    """Compares logits of one utterance; returns the settings that were read."""
    path = folder / "reference.pt"
    torch.save(reference.state_dict(), path)
    import_checkpoint(path, folder / "run", modalities=modalities, label_names=("a", "b", "c", "d"))
    features = {letter: torch.randn(3 + size % 2, size) for letter, size in SIZES.items()}
    batch = Batch(
        **{
            f"{name}_features": Ragged.join([features[name[0]]])
            for name in ("text", "acoustic", "visual")
            if name[0] in modalities
        },
    )
    run = load_run(folder / "run")
    with torch.no_grad():
        torch.testing.assert_close(run.model(batch)[0], reference.eval()(features), rtol=1e-5, atol=1e-5)
    return run.info.model.rnn


@pytest.mark.parametrize("modalities", ["t", "a", "vt", "tav"])
@pytest.mark.parametrize("kind", ["lf_rnn", "lf_transformer"])
def test_any_modalities(kind: str, modalities: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    import_and_compare(Reference(kind, modalities, layers=2), modalities, tmp_path)


@pytest.mark.parametrize(
    ("made", "read"),
    [
        ({"gru": True}, RnnSettings(gru=True)),
        ({"both": False, "layers": 3}, RnnSettings(bidirectional=False, num_layers=3)),
        ({"hidden": 9, "gru": True, "layers": 2}, RnnSettings(gru=True, hidden_size=9, num_layers=2)),
    ],
)
def test_the_recurrent_network_is_read_from_the_shapes(made: dict[str, object], read: object, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert import_and_compare(Reference("lf_rnn", **made), "tav", tmp_path) == read


def save(state: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "reference.pt"
    torch.save(state, path)
    return path


class TestBadCheckpoints:
    def test_other_modalities_than_it_was_trained_with(self, tmp_path: Path) -> None:
        path = save(Reference("lf_rnn").state_dict(), tmp_path)
        with pytest.raises(UserError, match=r"weighted_fusion\.weight is \(1, 3\) .* modalities 'ta' require \(1, 2\)"):
            import_checkpoint(path, tmp_path / "run", modalities="ta")

    @pytest.mark.parametrize(
        ("kind", "key"),
        [
            ("lf_rnn", "rnns.a.weight_ih_l0"),
            ("lf_rnn", "affines.t.2.weight"),
            ("lf_rnn", "rnns.v.bias_hh_l0"),
            ("lf_transformer", "transformers.t.cls_emb.weight"),
            ("lf_transformer", "transformers.v.encoder.layers.0.norm1.bias"),
        ],
    )
    def test_a_missing_key_is_named(self, kind: str, key: str, tmp_path: Path) -> None:
        state = Reference(kind).state_dict()
        del state[key]
        with pytest.raises(UserError, match=f"the checkpoint has no {key}"):
            import_checkpoint(save(state, tmp_path), tmp_path / "run")

    def test_an_unknown_key_is_named(self, tmp_path: Path) -> None:
        state = {**Reference("lf_rnn").state_dict(), "rnns.x.weight": torch.zeros(1)}
        with pytest.raises(UserError, match=r"unknown key rnns\.x\.weight"):
            import_checkpoint(save(state, tmp_path), tmp_path / "run")

    @pytest.mark.parametrize("shape", [(3,), (0, 8), (13, 8)])
    def test_odd_shapes(self, shape: tuple[int, ...], tmp_path: Path) -> None:
        state = {**Reference("lf_rnn").state_dict(), "rnns.t.weight_hh_l0": torch.zeros(shape)}
        with pytest.raises(UserError, match=r"rnns\.t\.weight_hh_l0 is"):
            import_checkpoint(save(state, tmp_path), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_names() -> None:
    assert baseline_of({"rnns.t.weight_ih_l0": torch.zeros(1)}) == "lf_rnn"
    assert baseline_of({"T.albert.x": torch.zeros(1)}) is None
    assert baseline_name("branches.visual.standardise.std") is None
    with pytest.raises(KeyError):
        baseline_name("text.head.weight")
