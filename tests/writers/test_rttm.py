from dataclasses import replace
from pathlib import Path

from written_timelines import empty, hostile, talk

from mme2e.inference.timeline import Timeline
from mme2e.writers.rttm import rttm_bytes
from mme2e.writers.table import write_timeline


def written(timeline: Timeline, path: Path) -> list[list[str]]:
    write_timeline(timeline, path)
    return [line.split(" ") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_the_turns_of_a_talk(tmp_path: Path) -> None:
    assert [" ".join(line) for line in written(talk(), tmp_path / "out.rttm")] == [
        "SPEAKER interview_one 1 0.123 2.377 <NA> <NA> Anna 0.900 <NA>",
        "SPEAKER interview_one 1 3.000 1.750 <NA> <NA> person_2 <NA> <NA>",
        "SPEAKER interview_one 1 5.000 1.000 <NA> <NA> unknown <NA> <NA>",
    ]
    assert written(empty(), tmp_path / "out.rttm") == []


def test_hostile_names_are_one_field(tmp_path: Path) -> None:
    lines = written(hostile(), tmp_path / "out.rttm")
    assert len(lines) == 7
    for line in lines:
        assert len(line) == 10
        assert all(line[1:])
        assert not any(letter.isspace() for field in line for letter in field)
        assert float(line[3]) >= 0
        assert float(line[4]) > 0


def test_a_timeline_of_every_person_has_the_named_speaker_once():
    first, *_ = talk().segments
    everybody = (
        replace(first, chosen_by="asked"),
        replace(first, chosen_by="asked", person="person 2"),
        replace(first, chosen_by="asked", speaker="", start_s=3.0, end_s=4.0),
    )
    lines = rttm_bytes(replace(talk(), segments=everybody)).decode().splitlines()
    assert [line.split()[3:8:4] for line in lines] == [["0.123", "Anna"], ["3.000", "unknown"]]
