"""A decoder process that dies of some files, as of a fault in FFmpeg."""

import sys
from pathlib import Path

import pytest

from mme2e.media import decoder as decoder_module
from mme2e.perception.decoders import Decoders
from mme2e.preparation import worker

CHILD = """
import os, signal, sys
from mme2e.media import decoder_child

def read(path, intervals, settings, whole=decoder_child.read_recording, **options):
    for event in whole(path, intervals, settings, **options):
        if "{name}" in str(path) and settings.{track}:
            os.kill(os.getpid(), signal.SIGSEGV)
        yield event

decoder_child.read_recording = read
decoder_child.main(0)
"""

IMAGE_CHILD = """
import os, signal, sys, time
from mme2e.media import decoder_child, image

def read(path, region, whole=image.read_image):
    if "{name}" in path.name:
        {deed}
    return whole(path, region)

image.read_image = read
decoder_child.main(0)
"""


def die_of(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, track: str) -> None:
    """From now on a child dies as soon as it reads the "video" or "audio" of a file with that in its name."""
    _use(monkeypatch, folder, CHILD.format(name=name, track=track))


def do_at_image(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, deed: str = "os.kill(os.getpid(), signal.SIGSEGV)"
) -> None:
    """From now on a child does this as soon as it reads an image with that in its name."""
    _use(monkeypatch, folder, IMAGE_CHILD.format(name=name, deed=deed))


def _use(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    script = folder / "child.py"
    script.write_text(source)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(decoder_module.sys, "executable", str(python))
    # Not a process that other tests have left: it would not die.
    monkeypatch.setattr(worker, "Decoders", Decoders)
