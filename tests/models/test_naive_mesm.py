"""The fast modules against the network as it is written down, on the reference's golden files and at odd sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_runs import import_golden
from test_fe2e import make_batch
from torch import Tensor, nn
from transformers import AlbertConfig

from mme2e.config import AttentionSettings, ModelSettings, TextSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.models import build_model
from mme2e.models.naive_mesm import NaiveMESM
from mme2e.models.normalised_convolution import settle_normalisations
from mme2e.runs.folder import load_run
from mme2e.text import build_encoder

MODES = ["importance", "gate", "straight_through", "frozen"]


def make_pair(
    dtype: torch.dtype,
    *,
    name: str = "mesm",
    mode: str = "frozen",
    seed: int = 0,
    pooling: str = "first",
    **sizes: Any,
) -> tuple:
    """The fast model and the naive one with the same weights."""
    torch.manual_seed(seed)
    small = {"tower_channels": (5, 7, 9, 11), "tower_dim": 13, "trans_dim": 6, "num_heads": 2, "num_layers": 2}
    attention = AttentionSettings(mode=mode)  # type: ignore[arg-type]
    small["text"] = TextSettings(pooling=pooling)  # type: ignore[arg-type,assignment]
    settings = ModelSettings(name=name, attention=attention, feedforward_dim=7, dropout=0.0, **(small | sizes))  # type: ignore[arg-type]
    encoders = [
        build_encoder(
            AlbertConfig(
                vocab_size=30, embedding_size=4, hidden_size=6, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=8, max_position_embeddings=16,
            )
        )
        for _ in range(2)
    ]  # fmt: skip
    model = build_model(settings, num_emotions=5, text_encoder=encoders[0])
    for parameter_name, parameter in model.named_parameters():
        if ".attention." in parameter_name:  # attention weights far from equal
            nn.init.normal_(parameter, std=1.0)
    settle_normalisations(model, make_batch())
    naive = NaiveMESM(settings, num_emotions=5, text_encoder=encoders[1])
    copy_weights(model, naive)
    return model.to(dtype), naive.to(dtype)


def copy_weights(model: nn.Module, naive: nn.Module) -> None:
    weights = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    naive.load_state_dict(weights)


def assert_same_forward_and_backward(model: nn.Module, naive: nn.Module, batch: Batch) -> None:
    logits, truth = model(batch), naive(batch)
    torch.testing.assert_close(logits, truth, rtol=1e-4, atol=1e-4)
    upstream = torch.randn(truth.shape, generator=torch.Generator().manual_seed(3)).to(truth.dtype)
    for each in (logits, truth):
        each.backward(upstream)
    weights = dict(model.named_parameters())
    gradients = {name: (weights[name].grad, parameter.grad) for name, parameter in naive.named_parameters()}
    assert {name for name, (mine, wanted) in gradients.items() if (mine is None) != (wanted is None)} == set()
    gradients = {name: pair for name, pair in gradients.items() if pair[1] is not None}
    if truth.dtype == torch.float32:
        # Rounding decides now and then which of two equal sites is the maximum, and moves the gradient of that site.
        mine, wanted = (torch.cat([pair[side].flatten() for pair in gradients.values()]) for side in (0, 1))
        assert (mine - wanted).norm() < 1e-2 * wanted.norm()
    else:
        for name, (mine, wanted) in gradients.items():
            within = {"rtol": 1e-3, "atol": 1e-3 * float(wanted.abs().max()) + 1e-12}
            torch.testing.assert_close(mine, wanted, **within, msg=lambda text, name=name: f"{name}: {text}")
    for name, buffer in naive.named_buffers():  # moving averages
        torch.testing.assert_close(model.get_buffer(name), buffer, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["fe2e", "fe2e_single", "mesm", "mesm_single"])
def test_golden_logits(name: str, shared: Any, made_once: Any) -> None:
    golden = {key: torch.from_numpy(value) for key, value in np.load(shared(f"golden/{name}.npz")).items()}
    once = name.removesuffix("_single")
    folder = made_once(f"golden_{once}", lambda folder: import_golden(once, folder, shared))
    run = load_run(folder / "run")
    config = AlbertConfig.from_pretrained(folder / "albert")
    naive = NaiveMESM(run.info.model, num_emotions=6, text_encoder=build_encoder(config)).eval()
    copy_weights(run.model, naive)
    batch = Batch(
        face_crops=Ragged(golden["face_crops"], golden["num_frames"]),
        mel_chunks=Ragged(golden["mel_chunks"], golden["num_chunks"]),
        tokens=Ragged.from_padded(golden["input_ids"], golden["attention_mask"]),
    )
    with torch.no_grad():
        logits = naive(batch)
        torch.testing.assert_close(logits, golden["logits"], rtol=0, atol=1e-4)
        torch.testing.assert_close(run.model(batch), logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_attention(mode: str, top_p: float, training: bool) -> None:
    model, naive = make_pair(torch.float64, mode=mode, top_p=top_p)
    batch = make_batch()
    assert_same_forward_and_backward(model.train(training), naive.train(training), batch)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", ["fe2e", "mesm"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [(1, 1, 1, 1), (3, 16, 5, 65)])
def test_odd_widths(name: str, dtype: torch.dtype, channels: tuple[int, ...]) -> None:
    # A share that no number of equal sites holds: the last site that is kept must not depend on rounding.
    model, naive = make_pair(dtype, name=name, tower_channels=channels, mode="gate", top_p=0.4711)
    assert_same_forward_and_backward(model.train(), naive.train(), make_batch())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["fe2e", "mesm"])
@pytest.mark.parametrize(
    ("frames", "chunks"),
    [((1,), (1,)), ((3,), (1,)), ((1, 1), (2, 1)), ((2, 0, 1), (0, 3, 1))],
    ids=["one of each", "a batch of one", "a frame each", "some without video or audio"],
)
def test_small_batches(name: str, frames: tuple[int, ...], chunks: tuple[int, ...], training: bool) -> None:
    for mode, top_p in (("importance", 0.4711), ("gate", 1e-6)):
        model, naive = make_pair(torch.float64, name=name, mode=mode, top_p=top_p)
        batch = make_batch(frames, chunks)
        assert_same_forward_and_backward(model.train(training), naive.train(training), batch)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["fe2e", "mesm"])
def test_the_mean_of_the_tokens(name: str, training: bool) -> None:
    model, naive = make_pair(torch.float64, name=name, mode="importance", pooling="mean")
    assert_same_forward_and_backward(model.train(training), naive.train(training), make_batch())


@pytest.mark.parametrize("name", ["fe2e", "mesm"])
def test_without_gradients(name: str) -> None:
    model, naive = make_pair(torch.float32, name=name)
    batch = make_batch()
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(batch), naive.eval()(batch), rtol=1e-4, atol=1e-4)


def test_it_reads_in_one_go() -> None:
    source = Path(NaiveMESM.__init__.__code__.co_filename).read_text()
    assert len(source.splitlines()) <= 200
    imports = [line for line in source.splitlines() if line.startswith(("import", "from")) and "mme2e" in line]
    assert imports == ["from mme2e.config import ModelSettings", "from mme2e.data.batch import Batch"]
