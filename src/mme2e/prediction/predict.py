"""`predict`: the emotions of recordings, over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mme2e.config.analysis import DEFAULTS, AnalysisSettings
from mme2e.media.region import Region
from mme2e.runs.starter import STARTER

if TYPE_CHECKING:
    from mme2e.prediction.result import Predictions


def predict(
    recording: str | Path | Sequence[str | Path],
    *,
    run: str | Path = STARTER,
    transcript: str | None = None,
    turns: str | Path | None = None,
    asr: str | None = None,
    no_sidecars: bool = False,
    out: str | Path | None = None,
    formats: Sequence[str] = ("json", "csv", "html"),
    annotate: str | Path | None = None,
    picture: str | Path | None = None,
    stream: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
    region: str | Region | None = None,
    audio_channel: int | None = None,
    channel_per_speaker: bool = False,
    video_track: int | None = None,
    audio_track: int | None = None,
    abstain: float | None = None,
    engine: Literal["local", "ray"] = "local",
    jobs: int = 1,
    ray_address: str | None = None,
    device: str = "auto",
    settings: AnalysisSettings = DEFAULTS,
) -> "Predictions":
    """Recognises the emotions of recordings: who shows which, when, and what that rests on.

    A recording of any length is cut into segments, each of which gets an answer; a transcript without times makes it
    one utterance. With --out, what was finished is kept when the command is interrupted, and the same command goes on.

    Args:
        recording: Files with video, with audio, or both; folders, with all that are in them; patterns such as '*.mp4'.
        run: Run folder of the model; starter is the one that comes with the package.
        transcript: What is said: a file with times (SRT, VTT, ASS, JSON of Whisper or FunASR, TextGrid, EAF), a text
            file, or the text itself. Without it, subtitles beside the recording (talk.srt) and in it are read.
        turns: RTTM file that says who speaks when.
        asr: Recognises speech where no words are known: name or folder of a model for faster-whisper.
        no_sidecars: Whether subtitles beside the recording and in it are left unread.
        out: Folder to write to; for a single recording also a file, whose suffix is the format.
        formats: What is written into the folder of --out: json, jsonl, csv, parquet, srt, vtt, eaf, TextGrid, rttm,
            html (a report); json is always written.
        annotate: MP4 to write, of a single recording: the video with faces, names, words and emotions.
        picture: PNG, SVG or PDF to draw, of the sites that MESM kept of each face crop and mel chunk; takes the stretch
            as one utterance.
        stream: Whether each segment is printed as soon as it is known.
        start_s: Where to start, in seconds.
        end_s: Where to end, in seconds; the end of the file when not given.
        region: Part of the video's frame to read: x,y,width,height in pixels.
        audio_channel: Channel with the speaker's voice, from 0; all are mixed when not given.
        channel_per_speaker: Whether each audio channel is one speaker, as calls are recorded.
        video_track: Number among the video tracks, from 0; the one that a player takes when not given.
        audio_track: Number among the audio tracks, from 0; the one that a player takes when not given.
        abstain: Probability, from 0 to 1, below which the most probable emotion is not decided for and the answer is
            uncertain; the level chosen with the model when not given, 0 never abstains. For models of one emotion.
        engine: local: on this machine; ray: on a Ray cluster, or on processes that Ray starts here.
        jobs: Recordings in work at once.
        ray_address: Cluster to join; started here when not given.
        device: auto, cpu, cuda, cuda:1, ...
        settings: How recordings are cut into segments, and what is found out about each.

    Raises:
        MediaError: A single recording cannot be read.
        UserError: The run cannot be read or reads hand-crafted features; nothing that it uses is in a single recording;
            or a file cannot be written. Of several recordings, those without an answer are in the result.
    """
    from mme2e.prediction.run import Call, run_predict

    recordings = [recording] if isinstance(recording, str | Path) else list(recording)
    call = Call(
        run=str(run),
        transcript=transcript,
        turns=None if turns is None else Path(turns),
        asr=asr,
        no_sidecars=no_sidecars,
        out=None if out is None else Path(out),
        formats=tuple(formats),
        annotate=None if annotate is None else Path(annotate),
        picture=None if picture is None else Path(picture),
        stream=stream,
        start_s=start_s,
        end_s=end_s,
        region=region,
        audio_channel=audio_channel,
        channel_per_speaker=channel_per_speaker,
        video_track=video_track,
        audio_track=audio_track,
        abstain=abstain,
        engine=engine,
        jobs=jobs,
        ray_address=ray_address,
        device=device,
        settings=settings,
    )
    return run_predict(recordings, call)
