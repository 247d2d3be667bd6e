"""`predict`: the emotions of a video."""

from pathlib import Path
from typing import TYPE_CHECKING

from mme2e.errors import UserError
from mme2e.media.region import Region, parse_region
from mme2e.runs.confidence import check_abstain
from mme2e.runs.info import CONFIG_FILE
from mme2e.runs.starter import STARTER

if TYPE_CHECKING:
    from mme2e.inference.result import EmotionResult


def predict(
    video: str | Path,
    *,
    run: str | Path = STARTER,
    transcript: str | None = None,
    out: str | Path | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    region: str | Region | None = None,
    audio_channel: int | None = None,
    video_track: int | None = None,
    audio_track: int | None = None,
    picture: str | Path | None = None,
    abstain: float | None = None,
    device: str = "auto",
) -> "EmotionResult":
    """Recognises the emotions of a video: probabilities, decisions and what they rest on.

    For several videos `mme2e.load()` loads the model once.

    Args:
        video: Any file with video, with audio, or both.
        run: Run folder of the model; starter is the one that comes with the package.
        transcript: What is said: a text file, or the text itself.
        out: JSON file to write.
        start_s: Where to start, in seconds.
        end_s: Where to end, in seconds; the end of the file when not given.
        region: Part of the video's frame with the speaker: x,y,width,height in pixels.
        audio_channel: Channel with the speaker's voice, from 0; all are mixed when not given.
        video_track: Number among the video tracks, from 0; the one that a player takes when not given.
        audio_track: Number among the audio tracks, from 0; the one that a player takes when not given.
        picture: PNG, SVG or PDF to draw, of the sites that MESM kept of each face crop and mel chunk.
        abstain: Probability, from 0 to 1, below which the most probable emotion is not decided for and the answer is
            uncertain; the level chosen with the model when not given, 0 never abstains. For models of one emotion.
        device: auto, cpu, cuda, cuda:1, ...

    Raises:
        MediaError: The video cannot be read.
        UserError: The run cannot be read or reads hand-crafted features; nothing that it uses is in the video; or a
            file cannot be written.
    """
    from mme2e.inference.recognizer import load
    from mme2e.inference.result import check_writable
    from mme2e.inference.transcript import read_transcript
    from mme2e.perception.stopwatch import Stopwatch

    # Mistakes before the model is loaded.
    refuse_folder(video)
    if abstain is not None:
        check_abstain(abstain)
    text = read_transcript(transcript)
    rectangle = parse_region(region) if isinstance(region, str) else region
    if out is not None:
        check_writable(Path(out))
    if picture is not None:
        from mme2e.inference.pictures import check_picture

        check_picture(Path(picture))
    recognizer, stopwatch = load(run, device=device, abstain_below=abstain), Stopwatch()
    # And before the video is read.
    recognizer.require_text(text)
    if picture is not None:
        from mme2e.inference.selected_sites import check_selects

        check_selects(recognizer.model)
    observation = recognizer.perceive(
        video,
        start_s=start_s,
        end_s=end_s,
        region=rectangle,
        audio_channel=audio_channel,
        video_track=video_track,
        audio_track=audio_track,
        stopwatch=stopwatch,
    )
    inference = recognizer.infer(observation, text, trace=picture is not None, stopwatch=stopwatch)
    result = recognizer.result(Path(video).name, observation, inference, stopwatch)
    if picture is not None:
        from mme2e.inference.pictures import draw_prediction

        draw_prediction(Path(picture), observation=observation, inference=inference, result=result)
    if out is not None:
        result.write_json(Path(out))
    return result


def refuse_folder(video: str | Path) -> None:
    """Refuses a run folder in the place of the recording, where it stood in earlier versions.

    Raises:
        UserError: It is one, or another folder.
    """
    video = Path(video)
    if (video / CONFIG_FILE).is_file():
        raise UserError(f"{video} is a run folder, not a recording: mme2e predict VIDEO --run {video}")
    if video.is_dir():
        raise UserError(f"{video} is a folder; expected is a file with video, with audio, or both")
