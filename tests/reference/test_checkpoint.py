import lzma
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_runs import import_golden
from torch import Tensor, nn
from transformers import AlbertConfig, AlbertModel

import mme2e.reference.checkpoint as reference_checkpoint
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.reference.checkpoint import read_state_dict
from mme2e.reference.import_checkpoint import import_checkpoint
from mme2e.runs.folder import load_run, writing_run
from mme2e.text import train_tokenizer

ALBERT = AlbertConfig(
    vocab_size=40,
    embedding_size=4,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=10,
    max_position_embeddings=32,
)


class Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)))


def tower(inputs: int, c: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, c[0], 5, padding=2), nn.BatchNorm2d(c[0]), nn.ReLU(), nn.MaxPool2d(2),
        Block(c[0], c[0]), Block(c[0], c[0]), Block(c[0], c[1]), nn.MaxPool2d(2),
        Block(c[1], c[2]), nn.MaxPool2d(2), Block(c[2], c[3]), nn.MaxPool2d(2),
    )  # fmt: skip


class Sequences(nn.Module):
    def __init__(self, dim: int, layers: int, heads: int, feedforward: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, heads, feedforward, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.cls_emb = nn.Embedding(1, dim)


class Reference(nn.Module):
    """FE2E under the reference's names, one utterance at a time, from its description."""

    def __init__(
        self, modalities: str = "tav", *, channels: tuple[int, ...] = (3, 4, 5, 6), hidden: int = 9, dim: int = 8,
        layers: int = 2, heads: int = 4, feedforward: int = 7, emotions: int = 6,
    ) -> None:  # fmt: skip
        super().__init__()
        self.modalities = modalities
        self.T = nn.Module()
        self.T.albert = AlbertModel(ALBERT)
        self.V, self.A = tower(3, channels), tower(1, channels)
        self.v_flatten = nn.Sequential(nn.Linear(channels[3] * 3 * 3, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.a_flatten = nn.Sequential(nn.Linear(channels[3] * 8 * 2, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.v_transformer = Sequences(dim, layers, heads, feedforward)
        self.a_transformer = Sequences(dim, layers, heads, feedforward)
        self.t_out = nn.Linear(ALBERT.hidden_size, emotions)
        self.v_out, self.a_out = nn.Linear(dim, emotions), nn.Linear(dim, emotions)
        self.weighted_fusion = nn.Linear(len(modalities), 1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 1.0, 2.5)  # so that the towers let something through
                nn.init.normal_(module.bias)
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.1, 0.5)

    def sequence(self, letter: str, maps: Tensor) -> Tensor:
        flat = getattr(self, letter.upper())(maps).contiguous().flatten(1)
        vectors = getattr(self, f"{letter}_flatten")(flat)
        transformer = getattr(self, f"{letter}_transformer")
        sequence = torch.cat([transformer.cls_emb.weight, vectors])[None]
        return getattr(self, f"{letter}_out")(transformer.encoder(sequence)[0, 0])

    def forward(self, batch: Batch) -> Tensor:
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([159.0, 111.0, 102.0], [37.0, 33.0, 32.0]))
        faces, sounds, texts = batch.face_crops.split(), batch.mel_chunks.split(), batch.tokens.split()
        rows = []
        for row in range(len(batch)):
            ids = texts[row][None]
            logits = {
                "t": lambda ids=ids: self.t_out(self.T.albert(input_ids=ids).last_hidden_state[0, 0]),
                "v": lambda row=row: self.sequence("v", (faces[row] - mean) / std),
                "a": lambda row=row: self.sequence("a", sounds[row]),
            }
            used = [logits[letter]() for letter in "tva" if letter in self.modalities]
            rows.append(used[0] if len(used) == 1 else self.weighted_fusion(torch.stack(used, dim=-1)).squeeze(-1))
        return torch.stack(rows)


def make_batch() -> Batch:
    mask = torch.ones(3, 7, dtype=torch.int64)
    mask[1, 4:] = 0
    return Batch(
        face_crops=Ragged(torch.randint(0, 256, (6, 3, 48, 48), dtype=torch.uint8), torch.tensor([2, 3, 1])),
        mel_chunks=Ragged(torch.rand(4, 1, 128, 32), torch.tensor([1, 1, 2])),
        tokens=Ragged.from_padded(torch.randint(1, 40, (3, 7)), mask),
    )


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("albert")
    ALBERT.save_pretrained(folder)
    return str(folder)


def make(modalities: str = "tav", **sizes: object) -> Reference:
    torch.manual_seed(0)
    return Reference(modalities, **sizes).eval()


def save(state: object, folder: Path) -> Path:
    path = folder / "reference.pt"
    torch.save(state, path)
    return path


@pytest.mark.parametrize("modalities", ["t", "a", "v", "ta", "tv", "av", "vat"])
def test_any_modalities_give_the_reference_s_logits(modalities: str, text_model: str, tmp_path: Path) -> None:
    model, batch = make(modalities), make_batch()
    path = save(model.state_dict(), tmp_path)
    text = text_model if "t" in modalities else None
    import_checkpoint(path, tmp_path / "run", text_model=text, modalities=modalities)
    run = load_run(tmp_path / "run")
    with torch.no_grad():
        wanted = model(batch)
    torch.testing.assert_close(run.model(batch), wanted, rtol=1e-4, atol=1e-4)
    assert wanted.std(dim=0).min() > 1e-3  # utterances differ, so that mixing them up would show
    assert (run.model.text is None) == ("t" not in modalities)


@pytest.mark.parametrize(
    ("sizes", "heads"),
    [
        ({"channels": (2, 2, 2, 2), "hidden": 1, "layers": 1, "emotions": 1}, 4),
        ({"channels": (8, 3, 6, 2), "dim": 12, "heads": 3, "layers": 3, "feedforward": 20, "emotions": 7}, 3),
        ({"dim": 6, "heads": 1, "layers": 11, "emotions": 2}, 1),
    ],
)
def test_sizes_are_read_from_the_shapes(sizes: dict[str, object], heads: int, text_model: str, tmp_path: Path) -> None:
    model, batch = make(**sizes), make_batch()
    path = save(model.state_dict(), tmp_path)
    import_checkpoint(path, tmp_path / "run", text_model=text_model, num_heads=heads)
    with torch.no_grad():
        torch.testing.assert_close(load_run(tmp_path / "run").model(batch), model(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["fe2e", "fe2e_single", "mesm", "mesm_single"])
def test_golden_logits(name: str, shared, made_once) -> None:  # type: ignore[no-untyped-def]
    golden = np.load(shared(f"golden/{name}.npz"))
    once = name.removesuffix("_single")
    folder = made_once(f"golden_{once}", lambda folder: import_golden(once, folder, shared))
    given = {key: torch.from_numpy(golden[key]) for key in golden}
    batch = Batch(
        face_crops=Ragged(given["face_crops"], given["num_frames"]),
        mel_chunks=Ragged(given["mel_chunks"], given["num_chunks"]),
        tokens=Ragged.from_padded(given["input_ids"], given["attention_mask"]),
    )
    with torch.no_grad():
        logits = load_run(folder / "run").model(batch)
    np.testing.assert_allclose(logits.numpy(), golden["logits"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["lf_rnn", "lf_transformer"])
def test_golden_logits_of_the_baselines(name: str, shared, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    golden = {key: torch.from_numpy(values) for key, values in np.load(shared(f"golden/{name}.npz")).items()}
    path = tmp_path / "reference.pt"
    path.write_bytes(lzma.decompress(shared(f"golden/{name}.pt.xz").read_bytes()))
    import_checkpoint(path, tmp_path / "run")
    batch = Batch(
        text_features=Ragged.from_padded(golden["text_features"]),
        acoustic_features=Ragged(golden["acoustic_features"], golden["num_acoustic"]),
        visual_features=Ragged(golden["visual_features"], golden["num_frames"]),
    )
    run = load_run(tmp_path / "run")
    with torch.no_grad():
        torch.testing.assert_close(run.model(batch), golden["logits"], rtol=0, atol=1e-4)
    assert run.info.model.name == name
    assert not run.info.model.features.masked


def test_what_older_libraries_and_the_reference_add_is_tolerated(text_model: str, tmp_path: Path) -> None:
    model, batch = make(), make_batch()
    state = {key: value for key, value in model.state_dict().items() if "num_batches_tracked" not in key}
    state["T.albert.embeddings.position_ids"] = torch.arange(32)[None]
    state["T.albert.embeddings.token_type_ids"] = torch.zeros(1, 32, dtype=torch.int64)
    state["mtcnn.pnet.conv1.weight"] = torch.zeros(10, 3, 3, 3)
    state = {f"module.{key}": value for key, value in state.items()}
    import_checkpoint(save({"state_dict": state, "epoch": 3}, tmp_path), tmp_path / "run", text_model=text_model)
    with torch.no_grad():
        torch.testing.assert_close(load_run(tmp_path / "run").model(batch), model(batch), rtol=1e-4, atol=1e-4)


def test_a_folder_that_another_process_writes_is_left_alone(text_model: str, tmp_path: Path) -> None:
    path, run = save(make().state_dict(), tmp_path), tmp_path / "run"
    with writing_run(run), pytest.raises(UserError, match=f"another mme2e process is working on {run}"):
        import_checkpoint(path, run, text_model=text_model)
    assert [each.name for each in run.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made(text_model: str, tmp_path: Path) -> None:
    path = save(make().state_dict(), tmp_path)
    with pytest.raises(UserError, match="the run folder /dev/null/run cannot be written"):
        import_checkpoint(path, Path("/dev/null/run"), text_model=text_model)


def test_half_precision_weights_become_float32(text_model: str, tmp_path: Path) -> None:
    path = save(make().half().state_dict(), tmp_path)
    import_checkpoint(path, tmp_path / "run", text_model=text_model)
    model = load_run(tmp_path / "run").model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model(make_batch()).isfinite().all()


@pytest.mark.parametrize(
    "key",
    [
        "V.0.weight",
        "A.1.running_mean",
        "V.10.conv2.bias",
        "a_flatten.2.weight",
        "v_transformer.cls_emb.weight",
        "v_transformer.encoder.layers.0.linear1.weight",
        "a_transformer.encoder.layers.1.norm2.bias",
        "t_out.weight",
        "v_out.bias",
        "weighted_fusion.weight",
        "T.albert.encoder.embedding_hidden_mapping_in.weight",
    ],
)
def test_a_missing_key_is_named(key: str, text_model: str, tmp_path: Path) -> None:
    state = make().state_dict()
    del state[key]
    with pytest.raises(UserError, match=f"the checkpoint has no {key}"):
        import_checkpoint(save(state, tmp_path), tmp_path / "run", text_model=text_model)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("modalities", ["tav", "ta"])
@pytest.mark.parametrize(
    "key",
    [
        "V.11.weight",
        "V.4.conv3.weight",
        "v_transformer.encoder.layers.0.norm3.weight",
        "T.other",
        "T.albert.embeddings.weight",
        "x",
        "v_out.weights",
        "mtcnnx.weight",
    ],
)
def test_an_unknown_key_is_named(key: str, modalities: str, text_model: str, tmp_path: Path) -> None:
    state = make(modalities).state_dict() | {key: torch.zeros(2)}
    with pytest.raises(UserError, match=f"unknown key {key} "):
        import_checkpoint(save(state, tmp_path), tmp_path / "run", text_model=text_model, modalities=modalities)


def test_unused_towers_need_not_be_there_but_may(text_model: str, tmp_path: Path) -> None:
    model = make("ta")
    state = {key: value for key, value in model.state_dict().items() if not key.startswith(("V.", "v_"))}
    import_checkpoint(save(state, tmp_path), tmp_path / "run", text_model=text_model, modalities="ta")
    batch = make_batch()
    with torch.no_grad():
        torch.testing.assert_close(load_run(tmp_path / "run").model(batch), model(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("key", "shape", "wanted"),
    [
        ("A.8.conv1.weight", (5, 3, 3, 3), (5, 4, 3, 3)),
        ("v_flatten.0.weight", (9, 55), (9, 54)),
        ("a_transformer.cls_emb.weight", (1, 9), (1, 8)),
        ("a_out.weight", (5, 8), (6, 8)),
        ("T.albert.embeddings.word_embeddings.weight", (41, 4), (40, 4)),
    ],
)
def test_another_shape_is_named_with_both(
    key: str, shape: tuple[int, ...], wanted: tuple[int, ...], text_model: str, tmp_path: Path
) -> None:
    state = make().state_dict() | {key: torch.zeros(shape)}
    with pytest.raises(UserError) as caught:
        import_checkpoint(save(state, tmp_path), tmp_path / "run", text_model=text_model)
    assert str(caught.value) == f"{key} is {shape} in the checkpoint, expected is {wanted}"


def test_a_size_with_the_wrong_number_of_dimensions(text_model: str, tmp_path: Path) -> None:
    state = make().state_dict() | {"V.0.weight": torch.zeros(3)}
    with pytest.raises(UserError, match=r"V.0.weight is \(3,\) in the checkpoint, expected are 4 dimensions"):
        import_checkpoint(save(state, tmp_path), tmp_path / "run", text_model=text_model)


@pytest.mark.parametrize("modalities", ["ta", "v"])
def test_modalities_that_the_fusion_contradicts(modalities: str, text_model: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"weighted_fusion.weight is \(1, 3\) .* modalities '{modalities}' require"):
        import_checkpoint(
            save(make().state_dict(), tmp_path), tmp_path / "run", text_model=text_model, modalities=modalities
        )


def test_other_contradictions(text_model: str, tmp_path: Path) -> None:
    path = save(make().state_dict(), tmp_path)
    with pytest.raises(UserError, match=r"trans_dim 8 is not a multiple of model\.num_heads 5"):
        import_checkpoint(path, tmp_path / "run", text_model=text_model, num_heads=5)
    with pytest.raises(UserError, match="modalities must be some of the letters t, a, v"):
        import_checkpoint(path, tmp_path / "run", text_model=text_model, modalities="txv")
    with pytest.raises(UserError, match=r"2 label names were given but .* has 6 emotions"):
        import_checkpoint(path, tmp_path / "run", text_model=text_model, label_names=("happy", "sad"))
    with pytest.raises(UserError, match=r"model\.top_p must be in \(0, 1\], not 1\.5"):
        import_checkpoint(path, tmp_path / "run", text_model=text_model, top_p=1.5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no text encoder: it has no config\.json$"):
        import_checkpoint(path, tmp_path / "run", text_model=str(tmp_path / "empty"))


@pytest.mark.parametrize("names", [("a", "b", "a"), ("a", "", "b"), ("a", " ", "b")])
def test_label_names_that_tell_nothing_apart_are_refused_before_the_model_is_built(
    names: tuple[str, ...], text_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_checkpoint, "build_model", lambda *_, **__: pytest.fail("built"))
    path = save(make(emotions=3).state_dict(), tmp_path)
    with pytest.raises(UserError, match="label_names must be one name or more, each once"):
        import_checkpoint(path, tmp_path / "run", text_model=text_model, label_names=names)


def test_label_names(text_model: str, tmp_path: Path) -> None:
    path = save(make(emotions=2).state_dict(), tmp_path)
    import_checkpoint(path, tmp_path / "named", text_model=text_model, label_names=("happy", "sad"))
    assert load_run(tmp_path / "named").info.label_names == ("happy", "sad")
    import_checkpoint(path, tmp_path / "numbered", text_model=text_model)
    assert load_run(tmp_path / "numbered").info.label_names == ("emotion_0", "emotion_1")
    assert "only numbered" in (tmp_path / "numbered" / "README.md").read_text()


def test_the_tokenizer_of_the_text_model_comes_along(tmp_path: Path) -> None:
    ALBERT.save_pretrained(tmp_path / "albert")
    train_tokenizer(["so happy", "so sad"], vocab_size=40).save_pretrained(tmp_path / "albert")
    path = save(make().state_dict(), tmp_path)
    import_checkpoint(path, tmp_path / "run", text_model=str(tmp_path / "albert"))
    assert load_run(tmp_path / "run").tokenizer("so")["input_ids"]


def published_checkpoint(hidden: int, intermediate: int) -> dict[str, Tensor]:
    """A checkpoint with only the keys by which a text encoder is recognised."""
    return {
        "T.albert.embeddings.word_embeddings.weight": torch.zeros(30000, 128, dtype=torch.int8),
        "T.albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight": torch.zeros(
            intermediate, hidden, dtype=torch.int8
        ),
    }


@pytest.mark.parametrize(
    ("name", "hidden", "layers", "heads"), [("base", 768, 12, 12), ("large", 1024, 24, 16), ("xlarge", 2048, 24, 16)]
)
def test_published_text_encoders_are_recognised_offline(name: str, hidden: int, layers: int, heads: int) -> None:
    config, found = reference_checkpoint._text_config(published_checkpoint(hidden, 4 * hidden), None)
    assert found == f"albert/albert-{name}-v2"
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (hidden, layers, heads)
    assert config.hidden_act == "gelu_new"
    assert reference_checkpoint._text_config({}, f"albert-{name}-v2") == (config, found)


def test_an_imported_published_encoder_works_without_its_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def offline(name: str) -> None:
        raise UserError(f"{name} cannot be reached")

    monkeypatch.setattr(reference_checkpoint, "hub_tokenizer", offline)
    monkeypatch.setattr(reference_checkpoint, "_PUBLISHED", {"albert/albert-base-v2": ALBERT})
    import_checkpoint(save(make().state_dict(), tmp_path), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.tokenizer is None
    assert run.info.model.text.model == "albert/albert-base-v2"
    assert "the run gets no tokenizer: albert/albert-base-v2 cannot be reached" in caplog.text


def test_an_unpublished_text_encoder_wants_its_configuration(tmp_path: Path) -> None:
    path = save(make().state_dict(), tmp_path)
    with pytest.raises(UserError, match=r"vocabulary 40, .* is not a published ALBERT v2: give --text-model"):
        import_checkpoint(path, tmp_path / "run")


def test_the_sparse_model_wants_all_of_its_weights(tmp_path: Path) -> None:
    state = make().state_dict()
    state = {key: value for key, value in state.items() if not key.startswith(("V.", "A."))}
    path = save({**state, "V.low_level.0.weight": torch.zeros(3, 3, 5, 5)}, tmp_path)
    ALBERT.save_pretrained(tmp_path / "albert")
    with pytest.raises(UserError, match=r"the checkpoint has no V\.sparse_layers\.0\.0\.0\.weight"):
        import_checkpoint(path, tmp_path / "run", text_model=str(tmp_path / "albert"))


class Dangerous:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("content", [nn.Linear(1, 1), {"weight": Dangerous()}], ids=["whole model", "code"])
def test_objects_are_never_unpickled(content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="holds Python objects that would run code; expected is a torch file"):
        read_state_dict(save(content, tmp_path))
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [{}, [torch.zeros(1)], torch.zeros(1), {"a": 1}, {1: torch.zeros(1)}])
def test_what_is_no_state_dict(content: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reference.pt holds .*expected is a torch file with a state dict"):
        read_state_dict(save(content, tmp_path))


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps({"a": 1}), lzma.compress(b"x")])
def test_what_is_no_torch_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "reference.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="expected is a torch file with a state dict"):
        read_state_dict(path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = save(make("v").state_dict(), tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="expected is a torch file with a state dict"):
        read_state_dict(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*reference.pt"):
        read_state_dict(tmp_path / "reference.pt")


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(number: float, text_model: str, tmp_path: Path) -> None:
    state = make().state_dict()
    state["V.0.weight"][0, 0, 0, 0] = number
    with pytest.raises(UserError, match=r"V\.0\.weight holds numbers that are not finite"):
        import_checkpoint(save(state, tmp_path), tmp_path / "run", text_model=text_model)
    assert not (tmp_path / "run").exists()


def test_one_wrong_bit_is_noticed(tmp_path: Path) -> None:
    path = save({"weight": torch.full((1000,), 0.5)}, tmp_path)
    content = bytearray(path.read_bytes())
    place = content.index(torch.full((4,), 0.5).numpy().tobytes())
    content[place + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"reference\.pt is damaged: .*data/0"):
        read_state_dict(path)
