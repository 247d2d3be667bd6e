"""Reader of CREMA-D (Cao et al. 2014): 91 actors say twelve sentences in six emotions.

Expected layout::

    AudioWAV/1001_DFA_ANG_XX.wav         sound
    VideoFlash/1001_DFA_ANG_XX.flv       picture and sound

The fields of a name are actor, sentence, emotion and its level.
"""

import re
from pathlib import Path

from mme2e.corpora.raw_folder import existing_folder, files_below
from mme2e.corpora.utterance import RawCorpus, Skipped, Utterance, first_reason
from mme2e.errors import UserError

EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LABEL_NAMES = tuple(EMOTIONS.values())
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
VIDEO_SUFFIXES, AUDIO_SUFFIXES = (".flv", ".mp4"), (".wav",)

_NAME = re.compile(rf"(\d{{4}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(?:LO|MD|HI|XX?)")
_POINTER = b"version https://git-lfs"


def read_crema_d(raw: Path) -> RawCorpus:
    """Reads CREMA-D's file names; media files are looked up, not decoded.

    The label is the emotion that was acted, not what listeners heard. Sound comes from the WAV file, else from the
    video. The videos may have been converted to mp4. No split is published: an actor is a speaker.

    Args:
        raw: Folder with AudioWAV, VideoFlash, or both.

    Raises:
        UserError: There is no such folder, or no file in it named as CREMA-D's are.
    """
    existing_folder(raw)
    skipped: list[Skipped] = []
    videos = _by_name(raw, VIDEO_SUFFIXES, skipped)
    sounds = _by_name(raw, AUDIO_SUFFIXES, skipped)
    utterances = []
    for name in sorted(videos.keys() | sounds.keys()):
        actor, sentence, emotion, _ = name.split("_")
        video = videos.get(name)
        utterances.append(
            Utterance(
                id=name,
                recording=name,
                speaker=actor,
                start_s=0.0,
                end_s=None,
                text=SENTENCES[sentence],
                labels=(EMOTIONS[emotion],),
                video=video,
                audio=sounds.get(name, video),
            )
        )
    if not utterances:
        raise UserError(f"{raw} has no file of CREMA-D like AudioWAV/1001_DFA_ANG_XX.wav{first_reason(skipped)}")
    return RawCorpus(
        name="crema_d",
        label_names=LABEL_NAMES,
        multi_label=False,
        utterances=tuple(utterances),
        skipped=tuple(skipped),
    )


def _by_name(raw: Path, suffixes: tuple[str, ...], skipped: list[Skipped]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files_below(raw, suffixes):
        if _NAME.fullmatch(path.stem) is None:
            skipped.append(Skipped(item=path.name, reason="its name is not like 1001_DFA_ANG_XX"))
        elif path.stem in found:
            skipped.append(Skipped(item=path.name, reason=f"second file of this name, in {path.parent.name}"))
        elif _is_pointer(path):
            skipped.append(Skipped(item=path.name, reason="a pointer of git-lfs, not the file; 'git lfs pull' gets it"))
        else:
            found[path.stem] = path
    return found


def _is_pointer(path: Path) -> bool:
    """Whether the repository was cloned without its large files."""
    if path.stat().st_size > 1024:
        return False
    return path.read_bytes().startswith(_POINTER)
