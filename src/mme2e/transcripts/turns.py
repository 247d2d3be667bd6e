"""Speaker turns as diarisation programs write them: RTTM."""

from pathlib import Path

from mme2e.errors import UserError
from mme2e.text_files import numbered_lines, printable
from mme2e.times import number_of
from mme2e.transcripts.cues import Turn


def read_turns(path: Path, *, recording: str = "") -> tuple[Turn, ...]:
    """The turns of an RTTM file, in the order of time.

    Args:
        path: File; of its lines those of the type SPEAKER are read.
        recording: Whose turns to take where the file has those of several: the name in its second field.

    Raises:
        UserError: It cannot be read, a line is damaged, or it has turns of several recordings but not of this one.
    """
    turns: dict[str, list[Turn]] = {}
    for number, line in numbered_lines(path):
        fields = line.split()
        if line.startswith(";") or fields[0] != "SPEAKER":
            if fields[0].isupper() or fields[0].startswith((";", "#")):  # other types, and comments
                continue
            raise UserError(f"{path}, line {number}: '{line[:60]}' is no line of RTTM")
        if len(fields) < 8:
            raise UserError(f"{path}, line {number}: it has {len(fields)} fields; RTTM has 8 to 10")
        try:
            start_s, length_s = number_of(fields[3]), number_of(fields[4])
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        if start_s < 0 or length_s < 0:
            raise UserError(f"{path}, line {number}: start {fields[3]} and length {fields[4]} must not be negative")
        if length_s > 0:
            turn = Turn(start_s=start_s, end_s=start_s + length_s, speaker=printable(fields[7]))
            turns.setdefault(fields[1], []).append(turn)
    if len(turns) > 1 and recording not in turns:
        names = ", ".join(sorted(turns)[:5])
        raise UserError(f"{path} has turns of {len(turns)} recordings ({names}); none of them is '{recording}'")
    found = turns[recording] if recording in turns else [turn for each in turns.values() for turn in each]
    return tuple(sorted(found, key=lambda turn: (turn.start_s, turn.end_s, turn.speaker)))
