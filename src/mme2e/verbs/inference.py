"""What the verbs that recognise and show do."""

from pathlib import Path

from mme2e.verbs.exit_status import EXIT_OK


def predict(
    run: Path,
    video: Path,
    transcript: str | None = None,
    out: Path | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    region: str | None = None,
    audio_channel: int | None = None,
    picture: Path | None = None,
    device: str = "auto",
) -> int:
    """Recognises the emotions of a video: probabilities, decisions and what they rest on.

    Args:
        run: Run folder.
        video: Any file with a picture, with sound, or both.
        transcript: Words that are spoken: a text file, or the text itself.
        out: JSON file to write.
        start_s: Where to start, in seconds.
        end_s: Where to end, in seconds; the end of the file when not given.
        region: Part of the picture with the speaker: x,y,width,height in pixels.
        audio_channel: Channel with the speaker's voice, from 0; all are mixed when not given.
        picture: PNG, SVG or PDF to draw, of the sites that MESM kept of each face crop and mel chunk.
        device: auto, cpu, cuda, cuda:1, ...
    """
    from mme2e.inference.recognizer import load
    from mme2e.inference.result import check_writable
    from mme2e.inference.transcript import read_transcript
    from mme2e.media.region import parse_region

    # Mistakes before the model is loaded.
    words, rectangle = read_transcript(transcript), parse_region(region)
    if out is not None:
        check_writable(out)
    if picture is not None:
        from mme2e.inference.pictures import check_picture

        check_picture(picture)
    result = load(run, device=device).predict(
        video,
        transcript=words,
        start_s=start_s,
        end_s=end_s,
        region=rectangle,
        audio_channel=audio_channel,
        picture=picture,
    )
    result.print()
    if out is not None:
        result.write_json(out)
    return EXIT_OK


def picture(run: Path, data: Path, utterance: str, out: Path, device: str = "auto") -> int:
    """Draws which sites of an utterance's face crops and mel chunks a run of MESM kept.

    Args:
        run: Run folder.
        data: Prepared corpus.
        utterance: Id, in any split.
        out: PNG, SVG or PDF to write.
        device: auto, cpu, cuda, cuda:1, ...
    """
    from mme2e.inference.utterance_picture import draw_utterance

    draw_utterance(run, data=data, utterance=utterance, out=out, device=device)
    print(f"{out}: what {run} kept of utterance {utterance}")  # noqa: T201
    return EXIT_OK
