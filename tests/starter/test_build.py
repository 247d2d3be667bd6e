"""The recipe of the starter, end to end, on a few generated rows."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from shown import shown
from tiny_corpus import COLOURS, LABEL_NAMES, PITCHES_HZ, WORDS

import mme2e
from mme2e.__main__ import main
from mme2e.command_line import read_settings
from mme2e.config import TrainSettings
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.media.audio import SAMPLE_RATE_HZ, encode_flac
from mme2e.records import load
from mme2e.runs.folder import load_run
from mme2e.starter.recipe import read_recipe
from mme2e.text import BertEncoder, BertSettings, train_tokenizer

CONFIGS = Path(__file__).parents[2] / "configs" / "starter"
SPLITS = ("train", "valid")
TEXTS = [f"it was a {word} day" for word in WORDS]


def write_table(path: Path, heads: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *rows])


def photograph(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (48, 48), colour).save(file, "png")
    return file.getvalue()


def write_data(data: Path) -> None:
    """Two rows of each emotion and split in each of five collections."""
    data.mkdir()
    rows = [(split, emotion, copy) for split in SPLITS for emotion in range(3) for copy in range(2)]
    words = [[TEXTS[e], LABEL_NAMES[e], s, "1", i // 4] for i, (s, e, _) in enumerate(rows)]
    words.insert(3, ["left out", "happy", "train", "0", 9])
    write_table(data / "text.csv", ["text", "label", "split", "clear", "dialogue"], words)
    write_table(data / "more.csv", ["text", "label", "split"], [[TEXTS[e], LABEL_NAMES[e], s] for s, e, _ in rows])
    sounds = []
    for split, emotion, copy in rows:
        times_s = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
        samples = (8000 * np.sin(2 * np.pi * PITCHES_HZ[emotion] * times_s)).astype(np.int16)
        name = f"{split}{emotion}{copy}.flac"
        (data / name).write_bytes(encode_flac(samples))
        sounds.append([name, LABEL_NAMES[emotion].title(), f"{split}{copy}", split])
    write_table(data / "speech.csv", ["audio", "label", "speaker", "split"], sounds)
    photographs = []
    with tarfile.open(data / "faces.tar", "w") as tar:
        for split, emotion, copy in rows:
            name, content = f"faces/{split}{emotion}{copy}.png", photograph(COLOURS[emotion])
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            votes = [3 if place == emotion else 1 for place in range(3)]
            photographs.append([name, LABEL_NAMES[emotion], f"p{split}{copy}", split, *votes, 5])
    heads = ["image", "label", "person", "split", *(f"v_{name}" for name in LABEL_NAMES), "v_unknown"]
    write_table(data / "faces.csv", heads, photographs)


def write_encoder(folder: Path) -> None:
    """A BERT with random weights."""
    folder.mkdir()
    tokenizer = train_tokenizer(TEXTS * 3, vocab_size=300)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    settings = BertSettings(vocab_size=len(tokenizer), max_position_embeddings=40, **sizes)
    settings.save_pretrained(folder)
    torch.manual_seed(0)
    save_file(BertEncoder(settings).state_dict(), folder / "model.safetensors")


def training(modalities: str, name: str = "mesm", **changes: object) -> dict[str, object]:
    model = {
        "name": name,
        "modalities": modalities,
        "text": {"model": "encoder", "hidden_dim": 8, "num_heads": 2, "max_length": 16},
        "attention": {"no_text_query": name == "mesm"},
        "tower_channels": [4, 4, 8, 8],
        "tower_dim": 16,
        "trans_dim": 8,
        "num_layers": 1,
        "num_heads": 2,
        "feedforward_dim": 16,
    }
    return {"model": model, "loss": "ce", "epochs": 1, "num_workers": 0, **changes}


def write_recipe(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    table = {"layout": "manifest", "recordings_of": 5}
    content = {
        "labels": list(LABEL_NAMES),
        "collections": {
            "words": {**table, "path": "text.csv", "where": {"clear": "1"}, "title": "Words", "licence": "free"},
            "more": {**table, "path": "more.csv", "title": "More words"},
            "voices": {
                "layout": "manifest",
                "path": "speech.csv",
                "rename": {name.title(): name for name in LABEL_NAMES},
                "speakers": {"women": ["valid0"]},
            },
            "photographs": {
                **table,
                "path": "faces.csv",
                "archive": "faces.tar",
                "columns": {"face_crop": "yes"},
                "votes": True,
            },
        },
        "branches": {"text": ["words", "more"], "speech": ["voices"], "faces": ["photographs"]},
        "encoder": {"layers": 1, "vocabulary": 250, "positions": 20, "title": "Tiny", "licence": "free"},
        "compose": {"photographs": "1-2", "copies": 2},
        "stages": {
            **{name: f"{name}.yaml" for name in ("text", "faces", "speech", "mesm")},
            "faces_fe2e": "faces.yaml",
        },
        "networks": {"faces_fe2e": "fe2e"},
        "ships": "mesm",
        **changes,
    }
    trainings = {
        "text": training("t", "fe2e"),
        "faces": training("v", targets="votes"),
        "speech": training("a"),
        "mesm": training("tav", init={"text_run": "runs/text", "visual_run": "faces"}),
    }
    for name, settings in trainings.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with data, encoder, recipe and the build, which was stopped twice on its way, and what it said."""
    folder = tmp_path_factory.mktemp("starter")
    write_data(folder / "data")
    write_encoder(folder / "large")
    options = {"data": folder / "data", "out": folder / "out", "encoder": folder / "large"}
    file = write_recipe(folder / "recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mme2e.starter.building.cut_encoder", _interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"what was done is kept in .*; the same command goes on"):
            mme2e.build_starter(file, **options)
    text = mme2e.build_starter(file, until="text", **options)
    # As if killed when the next training had only begun.
    begun = folder / "out" / "runs" / "faces"
    (begun / "checkpoints").mkdir(parents=True)
    (begun / "metrics.json").write_text("{}")
    whole = mme2e.build_starter(file, **options)
    return folder, file, options, text, whole


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
class TestBuild:
    def test_steps_are_kept_and_the_second_time_nothing_is_done(self, built):
        folder, file, options, text, whole = built
        before = {step.name: step.done_before for step in text.steps}
        assert before == {
            "prepare words": True, "prepare more": True, "merge text": True,
            "cut the text encoder": False, "train text": False,
        }  # fmt: skip
        assert (text.model, whole.model) == (None, folder / "out" / "model")
        assert [step.name for step in whole.steps if not step.done_before] == [
            "train faces", "train speech", "compose utterances", "train mesm", "pack mesm",
        ]  # fmt: skip
        weights = (whole.model / "model.safetensors").stat().st_mtime_ns
        again = mme2e.build_starter(file, **options)
        assert all(step.done_before for step in again.steps)
        assert (whole.model / "model.safetensors").stat().st_mtime_ns == weights
        assert again.complete
        assert f"the model is in {whole.model}" in shown(again)

    def test_tables_became_corpora(self, built):
        folder, *_ = built
        corpora = {name: load_corpus(folder / "out" / "corpora" / name) for name in ("text", "speech", "faces")}
        assert {name: corpus.info.label_names for name, corpus in corpora.items()} == dict.fromkeys(
            corpora, LABEL_NAMES
        )
        assert [corpora[name].info.counts for name in corpora] == [
            {"train": 12, "valid": 12}, {"train": 6, "valid": 6}, {"train": 6, "valid": 6},
        ]  # fmt: skip
        columns = corpora["text"].columns("train", ["text", "recording"]).to_pydict()
        assert "left out" not in columns["text"]
        assert set(columns["recording"]) == {"words~words000", "words~words001", "more~more000", "more~more001"}
        np.testing.assert_array_equal(corpora["faces"].votes("valid")[0], [3, 1, 1])
        assert load_corpus(folder / "out" / "corpora" / "composites").info.counts == {"train": 12, "valid": 6}

    def test_the_last_training_began_with_the_others(self, built):
        folder, *_ = built
        runs = folder / "out" / "runs"
        init = read_settings(runs / "mesm" / "train_settings.yaml", TrainSettings).init
        assert init.runs_of_branches == {"t": str(runs / "text"), "a": str(runs / "speech"), "v": str(runs / "faces")}
        assert load_run(runs / "text").model.text.encoder.config.num_hidden_layers == 1

    def test_the_packed_model_answers_and_is_in_half_precision(self, built):
        folder, *_, whole = built
        run = load_run(whole.model)
        kinds = {
            value.dtype for name, value in load_file(whole.model / "model.safetensors").items() if "running" in name
        }
        assert kinds == {torch.float32}
        assert (
            load_file(whole.model / "model.safetensors")["text.encoder.embeddings.LayerNorm.bias"].dtype
            == torch.float16
        )
        assert {value.dtype for value in run.model.parameters()} == {torch.float32}
        assert set(run.info.confidence.temperatures) == {"t", "a", "v", "ta", "tv", "av", "tav"}
        assert 0 < run.info.confidence.abstain_below < 1
        assert run.info.model.text.model == "encoder"
        result = mme2e.predict(folder / "data" / "valid00.flac", run=whole.model, transcript=TEXTS[0])
        (segment,) = result.timeline.segments
        assert segment.used == ("text", "acoustic")

    def test_the_card_has_sources_licences_and_scores(self, built):
        *_, whole = built
        card = (whole.model / "README.md").read_text(encoding="utf-8")
        scores = load(whole.model / "scores.json")["sets"]
        assert "| text | Words | free |" in card
        assert "| text | Tiny, cut down | free |" in card
        assert f"| text | more | 6 | {100 * scores['t']['collections']['more']['accuracy']:.1f} % |" in card
        assert "| audio | women | 3 |" in card
        assert "| audio | voices~valid1 | 3 |" in card
        assert "| text + audio + video | 6 |" in card
        assert "Article 5(1)(f)" in card
        assert str(built[0]) not in card
        assert (whole.model / "WEIGHTS_LICENSE.md").read_text(encoding="utf-8").startswith("# Licence")
        assert (built[0] / "out" / "abstention.png").is_file()
        assert "validation macro F1" in load_run(whole.model).info.provenance["training text"]

    def test_a_missing_collection_is_named(self, built, tmp_path, capsys):
        folder, _, options, *_ = built
        data = tmp_path / "data"
        data.mkdir()
        (data / "text.csv").write_bytes((folder / "data" / "text.csv").read_bytes())
        words = [*("--data", str(data), "--out", str(tmp_path / "out"), "--encoder", str(options["encoder"]))]
        file = write_recipe(tmp_path / "recipe")
        assert main(["build-starter", str(file), *words, "--until", "text"]) == 1
        assert "without More words: text is learned from Words alone (more.csv is missing)" in capsys.readouterr().out
        assert main(["build-starter", str(file), *words]) == 2
        assert "no collection of the branch speech is there; expected is one or more of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"labels": ["a", "a"]}, "label_names must be"),
        ({"ships": "other"}, "ships must be a stage, one of text, faces, speech, mesm, faces_fe2e, not 'other'"),
        ({"branches": {"text": ["words", "more"]}}, "each collection must be in one branch, once"),
        ({"branches": {"words": ["words"]}}, "branches must be some of text, speech, faces, not words"),
        ({"branches": {"text": ["nothing"]}}, "branches name the collection 'nothing'"),
        ({"stages": {"pack": "text.yaml"}}, "a stage cannot be called 'pack'"),
        ({"stages": {"../x": "text.yaml"}}, "stages must have names of a-z, 0-9 and _"),
        (
            {"networks": {"x": "mesm"}},
            "networks must name stages, some of text, faces, speech, mesm, faces_fe2e, not 'x'",
        ),
        ({"unknown": 1}, "unknown key 'unknown'"),
        ({"collections": {"text": {"layout": "manifest", "path": "x"}}}, "a collection cannot be called 'text'"),
        ({"collections": {"words": {"layout": "other", "path": "x"}}}, "layout must be one of"),
        ({"collections": {"words": {"layout": "meld", "path": "x", "votes": True}}}, "require layout manifest"),
        ({"collections": {"words": {"layout": "manifest", "path": "x", "recordings_of": 0}}}, "recordings_of must be"),
    ],
)
def test_recipes_that_cannot_be(tmp_path, changes, fault):
    with pytest.raises(UserError, match=fault):
        read_recipe(write_recipe(tmp_path, **changes))


def test_mistakes_before_anything_is_made(tmp_path):
    file = write_recipe(tmp_path / "recipe")
    options = {"out": tmp_path / "out", "encoder": tmp_path}
    with pytest.raises(
        UserError, match=r"until must be one of prepare, encoder, text, faces, speech, mesm, pack, faces_fe2e, not 'x'"
    ):
        mme2e.build_starter(file, data=tmp_path, until="x", **options)
    with pytest.raises(UserError, match="there is no folder"):
        mme2e.build_starter(file, data=tmp_path / "none", **options)
    with pytest.raises(UserError, match=r"no collection of the branch text is there"):
        mme2e.build_starter(file, data=tmp_path, **options)


def test_what_the_steps_require(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path))
    assert recipe.stages_until("pack") == ("text", "faces", "speech", "mesm")
    assert recipe.stages_until("faces_fe2e") == ("text", "faces", "speech", "mesm", "faces_fe2e")
    assert recipe.branches_for("text") == ("text",)
    assert recipe.branches_for("faces") == ("text", "faces")
    assert recipe.branches_for("prepare") == recipe.branches_for("pack") == ("text", "speech", "faces")
    assert [recipe.corpus_of(name) for name in recipe.stages] == ["text", "faces", "speech", "composites", "faces"]


def test_the_recipe_and_the_settings_of_the_starter():
    recipe = read_recipe(CONFIGS / "starter.yaml")
    assert recipe.labels == tuple(sorted(recipe.labels))
    assert len(recipe.labels) == 7
    settings = [path for path in CONFIGS.glob("*.yaml") if path.name != "starter.yaml"]
    assert settings
    for path in settings:
        assert path.name in recipe.stages.values()
        assert read_settings(path, TrainSettings).loss == "ce"
