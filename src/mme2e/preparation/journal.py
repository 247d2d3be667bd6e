"""What preparation has done: one small file a recording, written after the recording's rows are in place.

A recording is done when its entry holds the fingerprint of today's settings and inputs and its Parquet files have
the sizes that the entry names. Everything else is done anew. So a kill at any moment costs the recordings in work.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mme2e.atomic import write_text
from mme2e.corpora.utterance import Skipped
from mme2e.data.schema import CORPUS_FILE, PROGRESS_FOLDER, SCHEMA_VERSION
from mme2e.errors import UserError
from mme2e.locking import locked
from mme2e.preparation.recording import RecordingTask
from mme2e.preparation.writer import FOLDERS, file_name, remove_rows
from mme2e.records import load, plain, read_record, to_json

SETTINGS_FILE = "settings.json"
ENTRY_ENDING = ".entry.json"
LOCK_FILE = "lock"
SCHEMA_KEY = "schema_version"


@dataclass(frozen=True, kw_only=True)
class RecordingEntry:
    """What became of one recording.

    Attributes:
        recording: Its id.
        fingerprint: Of the settings and inputs (see `fingerprint`).
        counts: Rows by split.
        sizes_bytes: Size of its Parquet file by split.
        reported: Utterances left out or incomplete, with reasons.
        unreadable: How many of them owe it to a file that cannot be read.
        speech_s: Seconds that its rows cover.
        frames: Sampled frames.
        frames_with_face: Those in which a face was seen.
        stage_s: Seconds of work by stage.
    """

    recording: str
    fingerprint: str
    counts: dict[str, int]
    sizes_bytes: dict[str, int]
    reported: tuple[Skipped, ...]
    unreadable: int
    speech_s: float
    frames: int
    frames_with_face: int
    stage_s: dict[str, float]


def fingerprint(task: RecordingTask) -> str:
    """Changes when the settings, the utterances or their files (by name, size and time of change) do."""
    utterances = [
        {**asdict(u), "video": _state(u.video), "images": [_state(i) for i in u.images], "audio": _state(u.audio)}
        for u in sorted(task.utterances, key=lambda u: u.id)
    ]
    content = [SCHEMA_VERSION, task.frame_interval_ms, asdict(task.face), utterances]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _state(path: Path | None) -> list[object] | None:
    if path is None:
        return None
    if not path.is_file():
        return [path.name, "missing"]
    return [path.name, path.stat().st_size, path.stat().st_mtime_ns]


class Journal:
    """The entries of one prepared corpus.

    Args:
        out: Folder of the prepared corpus.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._folder = out / PROGRESS_FOLDER
        self._settings_path = self._folder / SETTINGS_FILE

    @contextmanager
    def opened(self, settings: dict[str, object]) -> Iterator[None]:
        """Within the `with` block the folder is this process' own and ready for a preparation with these settings.

        The lock ends with the process, however that ends.

        Raises:
            UserError: The folder holds something else, a corpus prepared with other settings or by a newer version,
                is being prepared at this moment, or cannot be written.
        """
        taken = f"another 'mme2e prepare' is working on {self.out}; wait for its end, or prepare into another folder"
        with ExitStack() as lock:
            try:
                self._make_folder()
                lock.enter_context(locked(self._folder / LOCK_FILE, taken))
                self._check_settings(settings)
                self._remove_leftovers()
            except OSError as error:
                raise UserError(
                    f"cannot write to {self.out} ({error.strerror}); expected is a folder to write to"
                ) from error
            yield

    def _make_folder(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise UserError(f"{self.out} is a file; expected is a folder for the prepared corpus")
        is_new = not self._settings_path.is_file()
        if is_new and self.out.is_dir() and any(child.name != PROGRESS_FOLDER for child in self.out.iterdir()):
            raise UserError(f"{self.out} holds other files; expected is an empty or a new folder, like {self._other()}")
        self._folder.mkdir(parents=True, exist_ok=True)

    def _check_settings(self, settings: dict[str, object]) -> None:
        known = self._known_settings() if self._settings_path.is_file() else dict(settings)
        version = known.pop(SCHEMA_KEY, SCHEMA_VERSION)
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise UserError(
                f"{self.out} was prepared by a newer mme2e, with schema version {version}; this one writes "
                f"{SCHEMA_VERSION}: prepare into another folder, like {self._other()}"
            )
        for name, value in plain(settings).items():
            if known.get(name) != value:
                raise UserError(
                    f"{self.out} was prepared with {name} {known.get(name)}, not {value}; "
                    f"prepare into another folder, like {self._other()}"
                )
        content = to_json({SCHEMA_KEY: SCHEMA_VERSION, **settings}, indent=None)
        if not self._settings_path.is_file() or self._settings_path.read_text(encoding="utf-8") != content:
            write_text(self._settings_path, content)

    def _known_settings(self) -> dict[str, Any]:
        """Those in the folder; empty, so that they differ from any, when the file is damaged."""
        try:
            content = load(self._settings_path)
        except UserError:
            return {}
        return content if isinstance(content, dict) else {}

    def _remove_leftovers(self) -> None:
        """What a killed process had begun to write."""
        for folder in (*FOLDERS, PROGRESS_FOLDER):
            for leftover in (self.out / folder).glob(".*.tmp"):
                leftover.unlink(missing_ok=True)

    def entries(self) -> dict[str, RecordingEntry]:
        """All entries by recording."""
        found = (self._read(path) for path in sorted(self._folder.glob(f"*{ENTRY_ENDING}")))
        return {entry.recording: entry for entry in found if entry is not None}

    def is_done(self, entry: RecordingEntry, task: RecordingTask) -> bool:
        """Whether an entry and its files are those of the task."""
        return entry.fingerprint == fingerprint(task) and all(
            path.is_file() and path.stat().st_size == entry.sizes_bytes[split]
            for split in entry.sizes_bytes
            for path in [self.out / split / f"{file_name(entry.recording)}.parquet"]
        )

    def keep_only(self, recordings: Iterable[str]) -> None:
        """Removes entries and rows of all other recordings; they may be there from an earlier state of the corpus."""
        names = {file_name(recording) for recording in recordings}
        places = [(self._folder, ENTRY_ENDING), *((self.out / folder, ".parquet") for folder in FOLDERS)]
        for folder, ending in places:
            for path in folder.glob(f"*{ending}"):
                if path.name.removesuffix(ending) not in names:
                    (self.out / CORPUS_FILE).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)

    def forget(self, recording: str) -> None:
        """Removes a recording: first its entry, then its rows, so that an entry never names rows that are gone."""
        (self.out / CORPUS_FILE).unlink(missing_ok=True)
        self._path(recording).unlink(missing_ok=True)
        remove_rows(self.out, recording)

    def add(self, entry: RecordingEntry) -> None:
        """Marks a recording as done; its rows must be in place."""
        write_text(self._path(entry.recording), to_json(entry, indent=None))

    def _path(self, recording: str) -> Path:
        return self._folder / f"{file_name(recording)}{ENTRY_ENDING}"

    def _read(self, path: Path) -> RecordingEntry | None:
        try:
            return read_record(RecordingEntry, path, unknown="forbid")
        except UserError:
            return None  # of another version or damaged: the recording is done again

    def _other(self) -> Path:
        number = 2
        while (other := self.out.with_name(f"{self.out.name}-{number}")).exists():
            number += 1
        return other
