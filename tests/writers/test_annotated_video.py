"""The annotated video: times and audio as they were, faces where they are, nothing half-written."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_writing import grey_image, write_sound, write_video
from report_timeline import HOSTILE, made_segment, made_timeline

from mme2e.errors import MediaError, UserError
from mme2e.generated.encoding import write_video as write_with_audio
from mme2e.inference.timeline import FaceAt, ModelIdentity, Person, Segment, Timeline
from mme2e.writers.video import annotate
from mme2e.writers.video_labels import Label, subtitle_pages, to_yuv
from mme2e.writers.video_overlay import Overlay

UNDECIDED = (180, 186, 196)


def boxed(*faces: FaceAt, segments: tuple[Segment, ...] = ()) -> Timeline:
    return Timeline(
        source="clip.mp4",
        duration_s=2.0,
        label_names=("happy",),
        model=ModelIdentity(name="starter", run="starter"),
        segments=segments,
        people=(Person(id="person 1", name="Anna", faces=faces),),
    )


def frames_of(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def audio_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(audio=0) if p.size]


def times_of(path: Path) -> list[Fraction]:
    return [time_s for time_s, _ in frames_of(path)]


def close(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - np.array(colour)).max() < 30)


def test_times_stay_where_the_frame_rate_varies(tmp_path: Path) -> None:
    times_s = [0, 0.1, 0.15, 0.7, 0.733, 1.9]
    clip = write_video(tmp_path / "clip.mp4", [grey_image(40 * n) for n in range(6)], times_s)
    reached: list[float] = []
    annotate(made_timeline(1), clip, tmp_path / "out.mp4", progress=reached.append)
    assert times_of(tmp_path / "out.mp4") == times_of(clip)
    assert reached == pytest.approx(times_s, abs=1e-3)


def test_times_stay_with_frames_that_are_stored_out_of_order(tmp_path: Path) -> None:
    images = [grey_image(8 * n) for n in range(24)]
    clip = write_video(tmp_path / "clip.mkv", images, codec="libx264", b_frames=2)
    annotate(made_timeline(1), clip, tmp_path / "out.mp4")
    assert times_of(tmp_path / "out.mp4") == times_of(clip)


def test_audio_packets_are_kept_as_they_are(tmp_path: Path) -> None:
    tone = (8000 * np.sin(np.arange(32_000) / 9)).astype(np.int16)
    clip = tmp_path / "clip.mp4"
    write_with_audio(clip, [grey_image(100)] * 25, tone[:, None])
    annotate(made_timeline(1), clip, tmp_path / "out.mp4")
    assert audio_packets(tmp_path / "out.mp4") == audio_packets(clip)
    assert len(frames_of(tmp_path / "out.mp4")) == 25


def test_a_clock_that_begins_later_is_set_to_zero_for_both_tracks(tmp_path: Path) -> None:
    tone = (8000 * np.sin(np.arange(32_000) / 9)).astype(np.int16)
    clip, late = tmp_path / "clip.mp4", tmp_path / "late.ts"
    write_with_audio(clip, [grey_image(100)] * 25, tone[:, None])
    with av.open(str(clip)) as source, av.open(str(late), "w") as container:
        streams = {stream.type: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.dts, packet.pts = (ticks + round(5 / packet.time_base) for ticks in (packet.dts, packet.pts))
                packet.stream = streams[packet.stream.type]
                container.mux(packet)
    annotate(made_timeline(1), late, tmp_path / "out.mp4")
    found, before = audio_packets(tmp_path / "out.mp4"), audio_packets(late)
    shifts_s = [float(old[0] - new[0]) for old, new in zip(before, found, strict=True)]
    assert min(shifts_s) == pytest.approx(max(shifts_s), abs=1e-4)
    assert shifts_s[0] == pytest.approx(5, abs=2)  # FFmpeg adds a delay of its own
    assert float(times_of(late)[0] - times_of(tmp_path / "out.mp4")[0]) == pytest.approx(shifts_s[0], abs=1e-4)
    assert all(old[1].endswith(new[1]) for old, new in zip(before, found, strict=True))  # without the ADTS header


def test_audio_that_players_do_not_expect_in_mp4_becomes_aac(tmp_path: Path) -> None:
    tone = (8000 * np.sin(np.arange(32_000) / 9)).astype(np.int16)
    clip = tmp_path / "clip.avi"
    write_with_audio(clip, [grey_image(100)] * 25, tone[:, None])
    annotate(made_timeline(1), clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples == pytest.approx(32_000, abs=3_000)


def test_a_box_is_drawn_where_the_face_is_and_moves_with_it(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [grey_image(10, 240, 320)] * 20)
    faces = FaceAt(time_s=0.0, box=(40, 100, 100, 160)), FaceAt(time_s=1.0, box=(140, 100, 200, 160))
    annotate(boxed(*faces), clip, tmp_path / "out.mp4")
    frames = [image for _, image in frames_of(tmp_path / "out.mp4")]
    assert close(frames[0][130, 40], UNDECIDED)
    assert close(frames[5][130, 90], UNDECIDED)  # half-way
    assert close(frames[10][130, 140], UNDECIDED)
    assert close(frames[10][130, 170], (10, 10, 10))  # inside it
    assert close(frames[15][130, 140], (10, 10, 10))  # the face was not seen for long


def test_a_face_is_not_drawn_between_sightings_that_are_far_apart(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [grey_image(10, 240, 320)] * 20)
    faces = FaceAt(time_s=0.0, box=(40, 100, 100, 160)), FaceAt(time_s=1.9, box=(40, 100, 100, 160))
    annotate(boxed(*faces), clip, tmp_path / "out.mp4")
    assert close(frames_of(tmp_path / "out.mp4")[10][1][130, 40], (10, 10, 10))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_recordings_are_turned_upright(rotation: int, tmp_path: Path) -> None:
    image = grey_image(20, 120, 160)
    image[:40, :40] = (200, 30, 30)
    clip = write_video(tmp_path / "clip.mp4", [image] * 3, rotation=rotation)
    annotate(boxed(), clip, tmp_path / "out.mp4")
    _, found = frames_of(tmp_path / "out.mp4")[0]
    upright = np.rot90(image, rotation // 90)  # counterclockwise, as FFmpeg counts
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 6
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_odd_sizes_grow_by_a_line(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", [grey_image(90, 49, 65)] * 3)
    annotate(made_timeline(1), clip, tmp_path / "out.mp4")
    assert frames_of(tmp_path / "out.mp4")[0][1].shape == (50, 66, 3)


def test_pixels_that_are_not_square_become_square(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [grey_image(90)] * 3, aspect=Fraction(2))
    annotate(made_timeline(1), clip, tmp_path / "out.mp4")
    assert frames_of(tmp_path / "out.mp4")[0][1].shape == (48, 128, 3)


def test_recordings_without_video_are_refused(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "sound.wav", np.zeros((1, 1600), dtype=np.int16))
    with pytest.raises(MediaError, match="has no video"):
        annotate(made_timeline(1), sound, tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="is not a file"):
        annotate(made_timeline(1), tmp_path / "absent.mp4", tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == [sound]


def test_names_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [grey_image(90)] * 3)
    before = clip.read_bytes()
    for out, reason in (
        ("clip.mp4", "the recording itself"),
        ("out.gif", "suffix|written as"),
        ("no/out.mp4", "no folder"),
    ):
        with pytest.raises(UserError, match=reason):
            annotate(made_timeline(1), clip, tmp_path / out)
    assert clip.read_bytes() == before


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [grey_image(90)] * 30)

    def interrupt(time_s: float) -> None:
        if time_s > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate(made_timeline(1), clip, tmp_path / "out.mp4", progress=interrupt)
    assert list(tmp_path.iterdir()) == [clip]


def test_a_cut_recording_is_annotated_as_far_as_it_goes(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", [grey_image(3 * n) for n in range(60)])
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    annotate(made_timeline(1), clip, tmp_path / "out.mp4")
    assert 5 < len(frames_of(tmp_path / "out.mp4")) < 60


def test_panels_and_subtitles_of_hostile_and_long_texts_are_drawn() -> None:
    planes = (np.zeros((180, 320), np.uint8), np.full((90, 160), 128, np.uint8), np.full((90, 160), 128, np.uint8))
    Overlay(made_timeline(3, hostile=True), 320, 180).draw(planes, 1.0)
    assert planes[0].max() > 150
    assert planes[0][160:].max() > 100  # the subtitle


def test_labels_are_cut_at_the_edges_of_a_frame() -> None:
    from PIL import Image

    label = Label.of(Image.new("RGBA", (21, 9), (255, 0, 0, 255)))
    planes = (np.zeros((20, 30), np.uint8), np.zeros((10, 15), np.uint8), np.zeros((10, 15), np.uint8))
    for left, top in ((-16, -4), (24, 16), (100, 100), (-100, 0)):
        label.lay(planes, left, top)
    assert planes[0][0, 0] == planes[0][19, 29] == to_yuv((255, 0, 0))[0]
    assert planes[0][10, 15] == 0


def test_a_text_is_shown_page_by_page() -> None:
    pages = subtitle_pages("word " * 60, 12, 200)
    assert len(pages) > 2
    assert all(page.count("\n") <= 1 for page in pages)
    assert " ".join(pages).split() == ["word"] * 60
    assert subtitle_pages(HOSTILE, 12, 400)
    assert made_segment(0).text
