"""Two processes train together: in scripts of their own, because Lightning starts the second one like the first."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_corpus import write_tiny_corpus

SCRIPT = """
import sys
from pathlib import Path
from mme2e.config import ModelSettings, TrainSettings
from mme2e.training.train import train

sizes = {"tower_channels": (4, 4, 8, 8), "tower_dim": 16, "trans_dim": 8, "feedforward_dim": 16}
model = ModelSettings(modalities="av", num_layers=1, num_heads=2, **sizes)
settings = TrainSettings(model=model, epochs=2, batch_size=2, accelerator="cpu", devices=2, num_workers=0)
if __name__ == "__main__":
    train(settings, data=Path(sys.argv[1]), out=Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_two_processes(tmp_path: Path):
    corpus = write_tiny_corpus(tmp_path / "corpus", 9)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(corpus), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2  # told once, not by each process
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["finished"]
    # 5 batches of at most 2 utterances, shared out: 3 steps an epoch.
    assert [record["step"] for record in metrics["history"]] == [3, 6]
    assert (tmp_path / "run" / "model.safetensors").is_file()
