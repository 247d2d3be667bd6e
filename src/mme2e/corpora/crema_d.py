"""Reader of CREMA-D (Cao et al. 2014): 91 actors say twelve sentences in six emotions.

Expected layout::

    AudioWAV/1001_DFA_ANG_XX.wav         audio
    VideoFlash/1001_DFA_ANG_XX.flv       video and audio

The fields of a name are actor, sentence, emotion and its level.
"""

import re
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_below
from mme2e.corpora.utterance import RawCorpus, Utterance

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

    The label is the emotion that was acted, not what listeners heard. The audio comes from the WAV file, else from the
    video. The videos may have been converted to mp4. No split is published: an actor is a speaker.

    Args:
        raw: Folder with AudioWAV, VideoFlash, or both.

    Raises:
        UserError: There is no such folder, or no file in it named as CREMA-D's are.
    """
    existing_folder(raw)
    found = Collection()
    videos = _by_name(raw, VIDEO_SUFFIXES, found)
    audios = _by_name(raw, AUDIO_SUFFIXES, found)
    for name in sorted(videos.keys() | audios.keys()):
        actor, sentence, emotion, _ = name.split("_")
        video = videos.get(name)
        utterance = Utterance(
            id=name,
            recording=name,
            speaker=actor,
            start_s=0.0,
            end_s=None,
            text=SENTENCES[sentence],
            labels=(EMOTIONS[emotion],),
            video=video,
            audio=audios.get(name, video),
        )
        found.add(utterance, name)
    return found.corpus("crema_d", LABEL_NAMES, empty=f"{raw} has no file of CREMA-D like AudioWAV/1001_DFA_ANG_XX.wav")


def _by_name(raw: Path, suffixes: tuple[str, ...], found: Collection) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in files_below(raw, suffixes, found):
        if _NAME.fullmatch(path.stem) is None:
            found.skip(path.name, "its name is not like 1001_DFA_ANG_XX")
        elif path.stem in files:
            found.skip(path.name, f"second file of this name, in {path.parent.name}")
        elif _is_pointer(path):
            found.skip(path.name, "a pointer of git-lfs, not the file; 'git lfs pull' gets it")
        else:
            files[path.stem] = path
    return files


def _is_pointer(path: Path) -> bool:
    """Whether the repository was cloned without its large files."""
    if path.stat().st_size > 1024:
        return False
    return path.read_bytes().startswith(_POINTER)
