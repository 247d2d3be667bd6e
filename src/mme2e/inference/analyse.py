"""One recording to its timeline: where its words come from, how it is cut, and what is kept of an interrupted try."""

import math
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
from mme2e.inference.segments import Planned, with_words
from mme2e.inference.timeline import Evidence, Segment, Timeline
from mme2e.media.recording import Interval
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
    transcript = words_of(recognizer, path, request)
    if request.settings.segments == "whole" or (transcript is not None and not transcript.timed):
        if request.settings.segments not in ("whole", "auto"):
            raise UserError(
                f"the transcript {transcript.source if transcript else ''} has no times, so that its words cannot be "
                f"given to segments: --segments whole takes the stretch as one utterance"
            )
        timeline = whole(recognizer, path, request, transcript, asr)
        if on_group is not None:
            on_group(timeline.segments, timeline.duration_s, timeline.duration_s)
        return timeline
    if request.channel_per_speaker:
        return _require_answers(_by_channel(recognizer, path, request, transcript, asr, on_group))
    return _require_answers(_analyse(recognizer, path, request, transcript, asr, journal, on_group))


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
        words_from = _name_of(listens)
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
    return analysis.timeline()


def _require_answers(timeline: Timeline) -> Timeline:
    """The timeline.

    Raises:
        UserError: No segment of it has an answer.
    """
    if not any(segment.emotions for segment in timeline.segments):
        reasons = timeline.segments[0].missing if timeline.segments else {}
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "it is empty"
        advice = "; --segments whole listens all the same" if NOBODY_SPEAKS in reasons.values() else ""
        raise UserError(f"{timeline.source}: nothing to recognise emotions from ({listed}){advice}")
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
    names = [f"channel {channel}" for channel in range(channels)]
    others = {cue.speaker for cue in (() if transcript is None else transcript.cues)} - {"", *names}
    if transcript is not None and others:
        raise UserError(
            f"{transcript.source} names {', '.join(sorted(others))}, and the channels are called "
            f"{', '.join(names)}: it cannot be known who is on which"
        )
    timelines = []
    for channel, name in enumerate(names):
        own = transcript
        if transcript is not None:
            own = replace(transcript, cues=tuple(cue for cue in transcript.cues if cue.speaker in ("", name)))
        alone = replace(request, interval=replace(request.interval, audio_channel=channel), channel_per_speaker=False)
        if own is not None and any(not cue.speaker for cue in own.cues):
            # Words that nobody is named for are said where the channel has speech.
            alone = replace(alone, settings=replace(alone.settings, segments="speech"))
        found = _analyse(recognizer, path, alone, own, asr, None, on_group)
        segments = tuple(
            replace(segment, speaker=name) for segment in found.segments if channel == 0 or segment.kind != "no speech"
        )
        timelines.append(replace(found, segments=segments))
    first = timelines[0]
    merged = sorted((s for timeline in timelines for s in timeline.segments), key=lambda each: each.start_s)
    notes = tuple(dict.fromkeys(note for timeline in timelines for note in timeline.notes))
    spoken = {person.id: 0.0 for timeline in timelines for person in timeline.people}
    for timeline in timelines:
        for person in timeline.people:
            spoken[person.id] += person.speaking_s
    people = tuple(replace(person, speaking_s=round(spoken[person.id], 3)) for person in first.people)
    return replace(first, segments=tuple(merged), notes=notes, people=people)


def whole(
    recognizer: Recognizer,
    path: Path,
    request: Request,
    transcript: Transcript | None,
    asr: Asr | None = None,
    *,
    picture: Path | None = None,
) -> Timeline:
    """The stretch as one utterance, a timeline of one segment.

    Args:
        recognizer: The model.
        path: File with video, with audio, or both.
        request: Which stretch, and whether evidence is asked for.
        transcript: What is said; None when not known.
        asr: Speech recognition, where nothing is known.
        picture: File to draw, of what MESM kept; None: none.

    Raises:
        MediaError, UserError: As `Recognizer.predict`; the picture cannot be written.
    """
    text = None if transcript is None else _words_in(transcript, request.interval)
    if asr is None:
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
    words_from = "" if transcript is None else transcript.source or "the transcript that was given"
    if transcript is None and asr is not None:
        text, words_from = _recognise(asr)(observation.samples, observation.start_s), _name_of(asr)
    inference = recognizer.infer(observation, text, trace=picture is not None, stopwatch=stopwatch)
    result = recognizer.result(path.name, observation, inference, stopwatch)
    if picture is not None:
        from mme2e.inference.pictures import draw_prediction

        draw_prediction(picture, observation=observation, inference=inference, result=result)
    evidence = None
    if request.settings.evidence:
        from mme2e.inference.evidence.evidence import evidence_of

        with stopwatch.stage("evidence"):
            (evidence,) = evidence_of(recognizer, [recognizer.read(observation, text)])
    return _one_segment(recognizer, result, text, evidence, request.settings, words_from)


def _one_segment(
    recognizer: Recognizer,
    result: EmotionResult,
    text: str | None,
    evidence: Evidence | None,
    settings: AnalysisSettings,
    words_from: str,
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
        words_from=words_from if segment.text else "",
        seconds=result.seconds,
    )


def words_of(recognizer: Recognizer, path: Path, request: Request) -> Transcript | None:
    """The transcript that was given, else subtitles beside the recording, else those in it; None without any words."""
    if request.transcript is not None or not request.look_for_words:
        return request.transcript
    sidecar = find_sidecar(path)
    if sidecar is not None:
        return read_transcript_file(sidecar)
    with recognizer.decoders.borrowed() as decoder:
        found = embedded_transcript(path, decoder)
    return found if found is not None and found.cues else None  # a track of images has none


def _words_in(transcript: Transcript, interval: Interval) -> str | None:
    """What is said in a stretch; all of it where the transcript has no times. None where nothing is."""
    if not transcript.timed:
        return printable(transcript.text).strip() or None
    end_s = math.inf if interval.end_s is None else interval.end_s
    planned = Planned(start_s=interval.start_s, end_s=end_s, kind="whole")
    return with_words(planned, transcript.cues).text


def _name_of(asr: Asr) -> str:
    return f"speech recognition with {asr.name}"


def _recognise(asr: Asr) -> Callable[[np.ndarray, float], str | None]:
    def recognise(samples: np.ndarray, start_s: float) -> str | None:
        cues: tuple[Cue, ...] = asr.transcribe(samples, start_s)
        return " ".join(cue.text.strip() for cue in cues).strip() or None

    return recognise
