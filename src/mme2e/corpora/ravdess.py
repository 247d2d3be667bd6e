"""Reader of RAVDESS (Livingstone & Russo 2018): 24 actors say two sentences in eight emotions.

Files lie in any folders under the one given, `Actor_01/03-01-05-01-02-01-12.wav` for instance. The seven fields of a
name are modality, vocal channel, emotion, intensity, statement, repetition and actor.
"""

import re
from collections import defaultdict
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_below
from mme2e.corpora.utterance import RawCorpus, Utterance

LABEL_NAMES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""In the order of the third field, from 01."""

SENTENCES = ("Kids are talking by the door", "Dogs are sitting by the door")
"""In the order of the fifth field, from 01."""

AUDIO_VIDEO, VIDEO_ONLY, AUDIO_ONLY = "01", "02", "03"
SPEECH = "01"
ACTORS = 24
SUFFIXES = (".mp4", ".wav", ".flac")

_NAME = re.compile(r"(0[123])-((0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d))")


def read_ravdess(raw: Path, *, song: bool = False) -> RawCorpus:
    """Reads RAVDESS' file names; media files are looked up, not opened.

    An utterance is a take; its id and recording are the name without the modality ("01-05-01-02-01-12"), so that they
    are the same whichever files are at hand. Its video and audio come from the file with both where there is one,
    else from the ones with video only and audio only, which are cut alike. Its text is the sentence of the fifth
    field. "Calm" stays an emotion of its own. No split is published: an actor is a speaker.

    Args:
        raw: Folder with the files.
        song: Also takes that are sung, of five emotions and neutral.

    Raises:
        UserError: There is no such folder, or no file named as RAVDESS' are.
    """
    existing_folder(raw)
    takes: dict[str, dict[str, Path]] = defaultdict(dict)
    found = Collection()
    sung = 0
    for path in files_below(raw, SUFFIXES, found):
        match = _NAME.fullmatch(path.stem)
        if match is None or not 1 <= int(match[8]) <= ACTORS:
            found.skip(path.name, "its name is not seven fields like 03-01-05-01-02-01-12")
        elif match[3] != SPEECH and not song:
            sung += 1
        elif match[1] in takes[match[2]]:
            found.skip(path.name, f"second file of this name, in {path.parent.name}")
        else:
            takes[match[2]][match[1]] = path
    if sung:
        found.skip(raw.name, f"{sung} files of singing; only speech is read")
    for take, files in sorted(takes.items()):
        found.add(_utterance(take, files), take)
    return found.corpus("ravdess", LABEL_NAMES, empty=f"{raw} has no file of RAVDESS like 03-01-05-01-02-01-12.wav")


def _utterance(take: str, files: dict[str, Path]) -> Utterance:
    _, emotion, _, statement, _, actor = take.split("-")
    both = files.get(AUDIO_VIDEO)
    return Utterance(
        id=take,
        recording=take,
        speaker=f"actor{actor}",
        start_s=0.0,
        end_s=None,
        text=SENTENCES[int(statement) - 1],
        labels=(LABEL_NAMES[int(emotion) - 1],),
        video=both or files.get(VIDEO_ONLY),
        audio=both or files.get(AUDIO_ONLY),
    )
