"""One recording to its timeline: where its words come from, how it is cut, and what is kept of an interrupted try."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mme2e.config.analysis import AnalysisSettings
from mme2e.errors import UserError
from mme2e.inference.analysis import NOBODY_SPEAKS, Analysis
from mme2e.inference.recognizer import Recognizer
from mme2e.inference.request import Journal, OnGroup, Request
from mme2e.inference.result import EmotionResult
from mme2e.inference.timeline import Evidence, Segment, Timeline
from mme2e.perception.stopwatch import Stopwatch
from mme2e.text_files import printable
from mme2e.transcripts.cues import Cue, Transcript
from mme2e.transcripts.embedded import embedded_transcript
from mme2e.transcripts.read import read_transcript_file
from mme2e.transcripts.sidecar import find_sidecar
from mme2e.transcripts.speech_recognition import Asr


def analyse(
    recognizer: Recognizer,
    path: Path,
    request: Request,
    *,
    asr: Asr | None = None,
    journal: Journal | None = None,
    on_group: OnGroup | None = None,
) -> Timeline:
    """The timeline of a recording.

    Args:
        recognizer: The model.
        path: File with video, with audio, or both.
        request: How it is analysed.
        asr: Speech recognition, where nothing else says what is said.
        journal: Keeps what is known, and has what an interrupted try had found.
        on_group: See `OnGroup`.

    Raises:
        MediaError: The file cannot be read, or what was asked for by region, channel or track is not in it.
        UserError: The model reads no recordings, or nothing that it uses is there.
    """
    transcript = request.transcript
    if transcript is None and request.look_for_words:
        transcript = _found_words(recognizer, path)
    if request.settings.segments == "whole" or (transcript is not None and not transcript.timed):
        if request.settings.segments not in ("whole", "auto"):
            raise UserError(
                f"the transcript {transcript.source if transcript else ''} has no times, so that its words cannot be "
                f"given to segments: --segments whole takes the stretch as one utterance"
            )
        return whole(recognizer, path, request, None if transcript is None else all_words(transcript))
    if request.channel_per_speaker:
        return _by_channel(recognizer, path, request, transcript, asr, on_group)
    return _analyse(recognizer, path, request, transcript, asr, journal, on_group)


def _analyse(
    recognizer: Recognizer,
    path: Path,
    request: Request,
    transcript: Transcript | None,
    asr: Asr | None,
    journal: Journal | None,
    on_group: OnGroup | None,
) -> Timeline:
    listens = asr if transcript is None else None
    words_from = transcript.source if transcript is not None else ""
    if listens is not None:
        words_from = f"speech recognition with {listens.name}"
    analysis = Analysis(
        recognizer,
        path,
        request.settings,
        transcript=transcript,
        turns=request.turns,
        recognise=None if listens is None else _recognise(listens),
        interval=request.interval,
        video_track=request.video_track,
        audio_track=request.audio_track,
        words_from=words_from,
        progress=None if journal is None else journal.read(),
    )
    for group in analysis.run():
        if journal is not None:
            journal.add(analysis.news())
        if on_group is not None:
            on_group(group, analysis.reached_s, analysis.claimed_s)
    timeline = analysis.timeline()
    if not any(segment.emotions for segment in timeline.segments):
        reasons = timeline.segments[0].missing if timeline.segments else {}
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "it is empty"
        advice = "; --segments whole listens all the same" if NOBODY_SPEAKS in reasons.values() else ""
        raise UserError(f"{printable(path.name)}: nothing to recognise emotions from ({listed}){advice}")
    return timeline


def _by_channel(
    recognizer: Recognizer,
    path: Path,
    request: Request,
    transcript: Transcript | None,
    asr: Asr | None,
    on_group: OnGroup | None,
) -> Timeline:
    """Each channel by itself; the segments together, in the order of time."""
    with recognizer.decoders.borrowed() as decoder:
        channels = decoder.probe(path, audio_track=request.audio_track).audio_channels
    if channels < 2:
        raise UserError(f"{path.name} has {channels} audio channels; --channel-per-speaker requires two or more")
    timelines = []
    for channel in range(channels):
        name = f"channel {channel}"
        own = transcript
        if transcript is not None:
            own = replace(transcript, cues=tuple(cue for cue in transcript.cues if cue.speaker in ("", name)))
        alone = replace(request, interval=replace(request.interval, audio_channel=channel), channel_per_speaker=False)
        found = _analyse(recognizer, path, alone, own, asr, None, on_group)
        segments = tuple(
            replace(segment, speaker=name) for segment in found.segments if channel == 0 or segment.kind != "no speech"
        )
        timelines.append(replace(found, segments=segments))
    first = timelines[0]
    merged = sorted((s for timeline in timelines for s in timeline.segments), key=lambda each: each.start_s)
    notes = tuple(dict.fromkeys(note for timeline in timelines for note in timeline.notes))
    return replace(first, segments=tuple(merged), notes=notes)


def whole(recognizer: Recognizer, path: Path, request: Request, text: str | None) -> Timeline:
    """The stretch as one utterance, a timeline of one segment.

    Raises:
        MediaError, UserError: As `Recognizer.predict`.
    """
    recognizer.require_text(text)
    stopwatch = Stopwatch()
    interval = request.interval
    observation = recognizer.perceive(
        path,
        start_s=interval.start_s,
        end_s=interval.end_s,
        region=interval.region,
        audio_channel=interval.audio_channel,
        video_track=request.video_track,
        audio_track=request.audio_track,
        stopwatch=stopwatch,
    )
    inference = recognizer.infer(observation, text, stopwatch=stopwatch)
    result = recognizer.result(path.name, observation, inference, stopwatch)
    evidence = None
    if request.settings.evidence:
        from mme2e.inference.evidence.evidence import evidence_of

        with stopwatch.stage("evidence"):
            (evidence,) = evidence_of(recognizer, [recognizer.read(observation, text)])
    return one_segment(recognizer, result, text, evidence, request.settings)


def one_segment(
    recognizer: Recognizer,
    result: EmotionResult,
    text: str | None,
    evidence: Evidence | None,
    settings: AnalysisSettings,
) -> Timeline:
    """A timeline of the answer about one stretch."""
    segment = Segment(
        start_s=result.start_s,
        end_s=result.end_s,
        kind="whole",
        text=text if "text" in result.used else None,
        emotions=result.emotions,
        uncertain=result.uncertain,
        used=result.used,
        missing=result.missing,
        frames=result.frames,
        frames_with_face=result.frames_with_face,
        notes=result.notes,
        evidence=evidence,
    )
    return Timeline(
        source=result.source,
        duration_s=result.end_s,
        label_names=tuple(recognizer.info.label_names),
        model=recognizer.identity(),
        settings=vars(settings) | {"abstain_below": recognizer.abstain_below},
        segments=(segment,),
        words_from="the transcript that was given" if segment.text else "",
        seconds=result.seconds,
    )


def _found_words(recognizer: Recognizer, path: Path) -> Transcript | None:
    """Subtitles beside the recording, else in it."""
    sidecar = find_sidecar(path)
    if sidecar is not None:
        return read_transcript_file(sidecar)
    with recognizer.decoders.borrowed() as decoder:
        return embedded_transcript(path, decoder)


def all_words(transcript: Transcript) -> str | None:
    """The text of all cues; None where it is blank."""
    return printable(transcript.text).strip() or None


def _recognise(asr: Asr) -> Callable[[np.ndarray, float], str | None]:
    def recognise(samples: np.ndarray, start_s: float) -> str | None:
        cues: tuple[Cue, ...] = asr.transcribe(samples, start_s)
        return " ".join(cue.text.strip() for cue in cues).strip() or None

    return recognise
