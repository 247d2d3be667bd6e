"""Bytes of a prepared corpus beside the reference's processed layout of the same utterances; both are written.

Run: ``python benchmarks/reference_size.py``. Writes `results/reference_size.json` and `results/reference_size.md`.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Literal, get_args

from mme2e.config import PrepareSettings, SampleSettings
from mme2e.corpora.readers import read_corpus
from mme2e.environment import environment
from mme2e.generated.reference_layout import IMAGES_PER_S, JPEG_QUALITY, write_reference_layout
from mme2e.generated.writer import sample
from mme2e.preparation.corpus import prepare_corpus

RESULTS = Path(__file__).parent / "results"
UTTERANCES = 24
NOTEBOOK_IMAGES_PER_S = 2
"""What the notebook for MOSEI writes; the reader of the reference assumes 30."""

Layout = Literal["iemocap", "mosei"]
Row = dict[str, float]


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(folder: Path, layout: Layout) -> Row:
    """Megabytes of each form, and the seconds of utterances in them."""
    sample(folder / "raw", SampleSettings(layout=layout, utterances=UTTERANCES))
    corpus = read_corpus(layout, folder / "raw")
    summary = prepare_corpus(corpus, folder / "prepared", PrepareSettings(), source="raw")
    row: Row = {"seconds": summary.video_s, "prepared": bytes_of(folder / "prepared") / 1e6}
    rates = (IMAGES_PER_S, NOTEBOOK_IMAGES_PER_S) if layout == "mosei" else (IMAGES_PER_S,)
    for rate in rates:
        out = folder / f"processed{rate}"
        write_reference_layout(corpus, out, images_per_s=rate)
        row[f"processed, {rate} images a second"] = bytes_of(out / f"{layout.upper()}_RAW_PROCESSED") / 1e6
    return row


def table(rows: dict[str, Row]) -> str:
    lines = [
        "| corpus | seconds | processed layout | its MB | prepared MB | times smaller |",
        "|---|---|---|---|---|---|",
    ]
    for layout, row in rows.items():
        for name, megabytes in row.items():
            if name.startswith("processed"):
                ratio = megabytes / row["prepared"]
                lines.append(
                    f"| {layout} | {row['seconds']:.0f} | {name.removeprefix('processed, ')} | {megabytes:.2f} "
                    f"| {row['prepared']:.2f} | {ratio:.1f} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    rows = {}
    with tempfile.TemporaryDirectory() as temporary:
        for layout in get_args(Layout):
            rows[layout] = measure(Path(temporary) / layout, layout)
    facts = environment()
    note = (
        f"{UTTERANCES} utterances of each generated sample corpus, both forms written. The processed layout has JPEG "
        f"files (quality {JPEG_QUALITY}),\nof IEMOCAP of both people, WAV files and meta.pkl; its hand-crafted "
        "features are left out. The prepared corpus has\none face crop every 500 ms as PNG, FLAC, words and labels, "
        "and the notes that preparation resumes from.\n"
        f"Commit {facts['git_commit']}; {time.strftime('%Y-%m-%d')}.\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "reference_size.json").write_text(json.dumps({"megabytes": rows, **facts}, indent=2) + "\n")
    (RESULTS / "reference_size.md").write_text(
        f"# Bytes beside the reference's processed layout\n\n{table(rows)}\n{note}"
    )
    print(table(rows))


if __name__ == "__main__":
    main()
