"""The picture of an utterance of a prepared corpus."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from mme2e.data.batch import collate
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.hand_crafted import open_dataset
from mme2e.errors import UserError
from mme2e.inference.pictures import Caption, draw_selection
from mme2e.inference.recognizer import load
from mme2e.inference.refusals import check_picture, check_selects
from mme2e.inference.selected_sites import SelectedSites, selected_sites
from mme2e.report import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class UtterancePicture(Result):
    """A picture that was drawn.

    Attributes:
        path: The file.
        run: Run folder.
        utterance: Id.
        sites: What is drawn.
    """

    path: Path
    run: Path
    utterance: str
    sites: SelectedSites

    def report(self) -> list[str]:
        """For the screen."""
        return [f"{self.path}: what {self.run} kept of utterance {self.utterance}"]


def draw_utterance(run: Path, *, data: Path, utterance: str, out: Path, device: str) -> UtterancePicture:
    """Does what `mme2e.picture` does, with its arguments and errors."""
    check_picture(out)
    corpus = load_corpus(data)
    split, row_number = _find(corpus, utterance)
    recognizer = load(run, device=device)
    check_selects(recognizer.info.model.name)
    settings = recognizer.info.model
    dataset = open_dataset(corpus, split, settings, recognizer.tokenizer)
    if utterance in dataset.left_out:
        raise UserError(f"utterance {utterance} has {dataset.lacking}: nothing to draw")
    before = corpus.split(split)["id"][:row_number]
    item = dataset[row_number - len(set(before) & set(dataset.left_out))]
    batch = collate([item]).to(recognizer.device).with_mel_chunks()
    sites = selected_sites(recognizer.model, batch)
    row = corpus.split(split)[row_number]
    caption = Caption(
        source=utterance,
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        emotions=recognizer.decide(sites.logits[0]),
        labels=tuple(row["labels"]),
        frame_times_s=tuple(row["face_times_s"]) if sites.visual is not None else (),
        missing={
            name: "the run does not use it" for name in ("visual", "acoustic") if name[0] not in settings.modalities
        },
    )
    draw_selection(out, sites=sites, batch=batch, caption=caption)
    return UtterancePicture(path=out, run=run, utterance=utterance, sites=sites)


def _find(corpus: Corpus, utterance: str) -> tuple[str, int]:
    """Split and row of an utterance.

    Raises:
        UserError: There is no such utterance.
    """
    ids: list[str] = []
    for split in corpus.splits:
        here = list(corpus.split(split)["id"])
        if utterance in here:
            return split, here.index(utterance)
        ids += here
    some = ", ".join(difflib.get_close_matches(utterance, ids, cutoff=0.0))
    raise UserError(f"{corpus.folder} has no utterance '{utterance}'; it has, for instance, {some or 'none at all'}")
