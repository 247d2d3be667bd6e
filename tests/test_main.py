"""`main.py`: the original command line, from the authors' processed data to scores."""

import json
import lzma
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from tiny_corpus import write_tiny_corpus
from tiny_features import write_tiny_features

from mme2e.config import SampleSettings
from mme2e.generated.writer import sample
from mme2e.reference.command_line.program import main
from mme2e.reference.names import reference_name
from mme2e.runs.folder import load_run, read_info

COMMANDS = {
    "mme2e": "-lr=5e-5 -ep=40 -mod=tav -bs=8 --img-interval=500 --early-stop=6 --loss=bce --cuda=3 --model=mme2e "
    "--num-emotions=6 --trans-dim=64 --trans-nlayers=4 --trans-nheads=4 --text-lr-factor=10 --text-model-size=base "
    "--text-max-len=100",
    "mme2e_sparse": "-lr=5e-5 -ep=40 -mod=tav -bs=2 --img-interval=500 --early-stop=6 --loss=bce --cuda=3 "
    "--model=mme2e_sparse --num-emotions=6 --trans-dim=64 --trans-nlayers=4 --trans-nheads=4 --text-lr-factor=10 "
    "-st=0.8 --text-model-size=base --text-max-len=100",
    "lf_rnn": "-lr=5e-4 -ep=60 -mod=tav -bs=32 --early-stop=8 --loss=bce --cuda=1 --model=lf_rnn --num-emotions=6 "
    "--hand-crafted --clip=2",
    "lf_transformer": "-lr=5e-4 -ep=60 -mod=tav -bs=32 --early-stop=8 --loss=bce --cuda=0 --model=lf_transformer "
    "--num-emotions=6 --hand-crafted --clip=2",
}
RUNS = {
    "mme2e": "savings/mme2e_tav_imginvl500_seed0",
    "mme2e_sparse": "savings/mme2e_sparse_tav_imginvl500_st_0.8_seed0",
    "lf_rnn": "savings/lf_rnn_tav_imginvl500_seed0",
    "lf_transformer": "savings/lf_transformer_tav_imginvl500_seed0",
}
SCRATCH = ["--text-model", "scratch"]
# Behind the verbatim commands: what makes them quick.
QUICK = ["--", "--num_workers=0"]
SMALL = [
    *QUICK, "--model.text.vocab_size=60", "--model.text.hidden_dim=8", "--model.text.num_heads=2",
    "--model.text.num_layers=1", "--model.tower_channels=[4,4,4,4]", "--model.tower_dim=8",
    "--model.feedforward_dim=8",
]  # fmt: skip
TRAIN = ["-lr", "1e-3", "-ep", "1", "-bs", "8", "--cuda", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the authors' processed data in `data`, as the original code expects them."""
    folder = tmp_path_factory.mktemp("place")
    sample(folder / "data", SampleSettings(layout="reference-iemocap", utterances=4))
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared corpus with three emotions and hand-crafted features of 8, 6 and 5 numbers."""
    return write_tiny_features(write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 4))


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of lf_rnn on the tiny corpus."""
    run = tmp_path_factory.mktemp("trained") / "run"
    words = ["-mo", "lf_rnn", "--hand-crafted", "-hs", "4", "--datapath", str(tiny), "--out", str(run)]
    assert main([*TRAIN, *words, *QUICK]) == 0
    return run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # put back in the end: --cuda changes it


def scores(folder: Path, split: str = "test") -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / f"metrics_{split}.json").read_text())
    return content


@pytest.mark.parametrize("model", COMMANDS)
def test_the_readmes_commands_train_and_are_scored(
    model: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    end_to_end = model.startswith("mme2e")
    quick = ["-ep=1", "--jobs=1", *(SCRATCH if end_to_end else []), *(SMALL if end_to_end else QUICK)]
    assert main([*COMMANDS[model].split(), *quick]) == 0
    told = capsys.readouterr()
    device = re.search(r"--cuda=(\d)", COMMANDS[model])
    assert device is not None
    if not torch.cuda.is_available():
        assert f"warning: --cuda {device[1]}: torch finds no such GPU here; on the CPU instead" in told.err
    assert "the same as: mme2e train --data data/.mme2e/iemocap-" in told.err
    run = Path(RUNS[model])
    after_training = scores(run / "evaluation")
    assert after_training["thresholds_from"] == "thresholds chosen on the validation split, stored in the run"

    assert main(["--test", "--ckpt", str(run)]) == 0
    told = capsys.readouterr()
    assert "data: prepared before, in data/.mme2e/iemocap-" in told.err
    assert "preparing" not in told.err
    assert scores(run / "evaluation") == after_training
    if model != "lf_rnn":
        return
    assert main(["--valid", f"--ckpt={run}/model.safetensors", "--out", "valid"]) == 0
    assert scores(Path("valid"), "valid")["split"] == "valid"


def test_those_are_the_readmes_commands(shared: Callable[[str], Path]) -> None:
    readme = shared("ORIGINAL_README.md").read_text()
    assert re.findall(r"^python main.py (.+)$", readme, re.MULTILINE) == list(COMMANDS.values())


@pytest.mark.usefixtures("unpainted")
def test_another_interval_is_prepared_beside_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(place / "data")
    words = ["-mo", "mme2e", "-mod=v", "--trans-dim=8", "--trans-nheads=2", "--trans-nlayers=1", "--img-interval=1000"]
    where = ["--datapath", data, "--prepared", "prepared", "--jobs=1", "--out", "run"]
    assert main([*TRAIN, *words, *where, *SMALL]) == 0
    assert "this once, in prepared" in capsys.readouterr().err
    assert read_info(Path("run")).frame_interval_ms == 1000
    assert main(["--test", "--ckpt", "run", "--datapath", data, "--prepared", "prepared", "--img-interval=500"]) == 2
    assert "--img-interval 500 does not fit prepared" in capsys.readouterr().err


@pytest.mark.usefixtures("unpainted")
def test_a_checkpoint_of_the_reference_is_scored(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--trans-dim=8", "--trans-nheads=2", "--trans-nlayers=1"]
    assert main([*TRAIN, *SCRATCH, *sizes, "--datapath", str(tiny), "--out", "run", *SMALL]) == 0
    weights = load_run(Path("run")).model.state_dict()
    torch.save({reference_name(name, "fe2e"): weight for name, weight in weights.items()}, "reference.pt")
    words = ["--test", "--ckpt=reference.pt", "--datapath", str(tiny), "--text-model=run/text_encoder", *sizes]
    assert main([*words, "--out", "scores"]) == 0
    ours, theirs = scores(Path("run/evaluation")), scores(Path("scores"))
    assert ours["thresholds"] == theirs["thresholds"]
    assert theirs["thresholds_from"] == "thresholds chosen on the validation split of corpus"
    assert ours["scores"]["auc"] == theirs["scores"]["auc"]  # type: ignore[index]
    (imported,) = Path("savings/imported").iterdir()
    before = (imported / "config.yaml").stat().st_mtime_ns
    assert main([*words, "--out", "again"]) == 0
    assert (imported / "config.yaml").stat().st_mtime_ns == before
    capsys.readouterr()
    assert main([*words, "--modalities=ta"]) == 2
    assert "reference" in capsys.readouterr().err


@pytest.mark.usefixtures("unpainted")
def test_a_baseline_of_the_reference_chooses_its_columns(place: Path, shared: Callable[[str], Path]) -> None:
    Path("lf_rnn.pt").write_bytes(lzma.decompress(shared("golden/lf_rnn.pt.xz").read_bytes()))
    words = ["--test", "--ckpt=lf_rnn.pt", "--hand-crafted", "--datapath", str(place / "data"), "--jobs=1"]
    assert main([*words, "--out", "scores"]) == 0
    (imported,) = Path("savings/imported").iterdir()
    features = read_info(imported).model.features
    assert (features.acoustic_size, features.audio_feature_type, features.masked) == (763, 0, False)
    assert main([*words, "-aft", "3", "--out", "scores"]) == 2


@pytest.mark.usefixtures("unpainted")
def test_training_starts_from_the_named_branches(tiny: Path, trained: Path) -> None:
    words = ["-mo", "lf_rnn", "--hand-crafted", "-hs", "4", "--datapath", str(tiny)]
    ckpt = ["--ckpt", str(trained / "checkpoints" / "best.ckpt"), "--ckpt-mod", "tv", "--out", "run"]
    assert main([*TRAIN, *words, *ckpt, *QUICK]) == 0
    settings = yaml.safe_load(Path("run/train_settings.yaml").read_text())
    assert {key: value for key, value in settings["init"].items() if value} == {"run": str(trained), "modalities": "tv"}


@pytest.mark.usefixtures("unpainted")
def test_several_seeds_are_several_runs_and_their_mean(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-mo", "lf_transformer", "--hand-crafted", "--datapath", str(tiny), "--out", "runs", "-se", "3", "5"]
    assert main([*TRAIN, *words, *QUICK]) == 0
    table = capsys.readouterr().out.partition("2 seeds, split test")[2]
    rows = dict(re.findall(r"^ *(seed3|seed5|mean|standard deviation) +([\d.]+)", table, re.MULTILINE))
    first, second = (100 * float(str(scores(Path(f"runs/seed{seed}/evaluation"))["macro_f1"])) for seed in (3, 5))
    told = [float(rows[name]) for name in ("seed3", "seed5", "mean", "standard deviation")]
    expected = [first, second, (first + second) / 2, abs(first - second) / 2**0.5]
    assert told == pytest.approx(expected, abs=0.051)
    assert {path.name for path in Path("runs").iterdir()} == {"seed3", "seed5"}
    assert main([*TRAIN, *words, *QUICK]) == 2  # they are there
    shutil.rmtree("runs/seed5")
    assert main([*TRAIN, *words, "--resume", *QUICK]) == 0
    assert Path("runs/seed5/config.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "loss"),
    [("--loss ce --optim sgd -sc", "ce"), ("--loss l1 --fusion early --feature-dim 4", "l1"), ("--loss mse", "mse")],
)
@pytest.mark.usefixtures("unpainted")
def test_losses_and_fusions_train(words: str, loss: str, tiny: Path) -> None:
    data = ["-mo", "lf_rnn", "--hand-crafted", "-hfcs", "8", "6", "5", "--datapath", str(tiny), "--out", "run"]
    assert main([*TRAIN, *data, *words.split(), *QUICK]) == 0
    assert read_info(Path("run")).loss == loss
    assert (scores(Path("run/evaluation"))["thresholds"] is None) == (loss == "ce")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("TRAIN --num-emotions 6", "--num-emotions 6 does not fit TINY, which has 3: angry, happy, sad"),
        ("TRAIN -hfcs 300 144 35", "--hfc-sizes 300 144 35: there are 8 text features a step, not 300"),
        ("TRAIN -hfcs 8 144 5", "there are 6 acoustic features a step, not 144"),
        ("TRAIN -aft 0", "--audio-feature-type 0 chooses among the reference's acoustic features"),
        ("TRAIN --img-interval 200", "--img-interval 200 does not fit TINY, prepared with a frame every 500 ms"),
        ("TRAIN --jobs 2", "--jobs is of preparing, but --datapath TINY is a prepared corpus already"),
        ("TRAIN --loss huber", "invalid choice: 'huber'"),
        ("TRAIN --cuda three", "--cuda requires the number of a GPU, or cpu, not 'three'"),
        ("TRAIN --ckpt nowhere.pt", "--ckpt nowhere.pt: there is no such file or folder"),
        ("TRAIN --ckpt RUN --ckpt-mod tx", "--ckpt-mod must be some of the letters t, a, v, each once, not 'tx'"),
        ("TRAIN --ckpt RUN -hs 5", "does not fit"),
        ("TRAIN --out RUN", "exists and is not empty: give another --out, or --resume"),
        ("--test --ckpt TINY --datapath TINY", "is not a run folder: it has no config.yaml"),
        ("--test --ckpt text.pt --datapath TINY", "text.pt"),
        ("--test --ckpt RUN --datapath TINY -mo mme2e", "another model: its name is lf_rnn, but --model is mme2e"),
        ("--test --ckpt RUN --datapath TINY -hs 8", "its rnn.hidden_size is 4, but --hidden-size is 8"),
        ("--test --ckpt RUN --datapath TINY -mod ta", "its modalities is tav, but --modalities is ta"),
        ("--test --ckpt RUN", "--datapath data holds no prepared corpus (corpus.json) and no IEMOCAP_RAW_PROCESSED"),
        ("--test --ckpt RUN --datapath DATA --dataset mosei", "--dataset iemocap is there"),
        ("--test --ckpt RUN --datapath DATA", "recognises angry, happy, sad, but"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    words: str, told: str, tiny: Path, trained: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.pt").write_text("no checkpoint")
    train = f"{' '.join(TRAIN)} -mo lf_rnn --hand-crafted -hs 4 --datapath TINY"
    for name, path in {"TRAIN": train, "TINY": tiny, "RUN": trained, "DATA": place / "data"}.items():
        words, told = words.replace(name, str(path)), told.replace(name, str(path))
    assert main(words.split()) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("main.py: error: ")]
    assert len(errors) == 1
    assert told in errors[0]


def test_without_the_hub_the_message_names_the_way_out(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main([*TRAIN, "--datapath", str(tiny), "--text-model-size=xlarge"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "'albert/albert-xlarge-v2' is not a folder and not in the local cache" in error
    assert "--text-model takes a folder with an encoder and its tokenizer, or scratch" in error
    assert not Path("savings").exists()


@pytest.mark.usefixtures("unpainted")
def test_an_option_without_effect_is_a_warning(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-mo", "lf_rnn", "--hand-crafted", "-st", "0.5", "--datapath", str(tiny), "--out", "run"]
    assert main([*TRAIN, *words, *QUICK]) == 0
    warning = "main.py: warning: --sparse-threshold is for mme2e_sparse, not for lf_rnn: it has no effect"
    assert warning in capsys.readouterr().err


def test_the_script_itself() -> None:
    script = Path(__file__).resolve().parents[1] / "main.py"
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "python main.py -lr=5e-5 -ep=40" in done.stdout
    done = subprocess.run([sys.executable, script, "--test"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "main.py: error: --test requires --ckpt, what is to be scored\n")
