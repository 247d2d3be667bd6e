"""Reader of EMO-DB (Burkhardt et al. 2005): ten German actors say ten sentences in seven emotions.

Files lie in any folders under the one given, `wav/03a01Fa.wav` for instance. The parts of a name are speaker, sentence,
emotion and take.
"""

import re
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_below
from mme2e.corpora.utterance import RawCorpus, Utterance

EMOTIONS = {"W": "angry", "L": "bored", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral"}
"""By the sixth letter of a file's name, the first of the German word."""

LABEL_NAMES = tuple(EMOTIONS.values())
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
SUFFIXES = (".wav", ".flac")

_NAME = re.compile(rf"(\d\d)({'|'.join(SENTENCES)})([{''.join(EMOTIONS)}])[a-z]?")


def read_emodb(raw: Path) -> RawCorpus:
    """Reads EMO-DB's file names; audio files are looked up, not opened.

    An utterance is a file, its text the German sentence, its label the emotion that was acted. No split is published:
    the first two digits are the speaker.

    Args:
        raw: Folder with the files.

    Raises:
        UserError: There is no such folder, or no file in it named as EMO-DB's are.
    """
    existing_folder(raw)
    found = Collection()
    for path in files_below(raw, SUFFIXES, found):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            found.skip(path.name, "its name is not speaker, sentence, emotion and take like 03a01Fa")
            continue
        utterance = Utterance(
            id=path.stem,
            recording=path.stem,
            speaker=f"speaker{match[1]}",
            start_s=0.0,
            end_s=None,
            text=SENTENCES[match[2]],
            labels=(EMOTIONS[match[3]],),
            audio=path,
        )
        found.add(utterance, path.name, "file")
    return found.corpus("emodb", LABEL_NAMES, empty=f"{raw} has no file of EMO-DB like 03a01Fa.wav")
