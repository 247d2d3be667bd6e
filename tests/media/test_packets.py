from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pytest

from mme2e.media import cursor, packets
from mme2e.media.notes import Damage
from mme2e.media.packets import PacketsAhead, fresh_starts, unit_starts
from mme2e.media.video import read_frames

RATE, FRAMES, KEY_SPACING = 30, 60, 8

X264, X265 = {"x264-params": "bframes=3:scenecut=0"}, {"x265-params": "open-gop=0:log-level=0"}
OPEN_X264 = {"x264-params": "bframes=3:scenecut=0:open-gop=1"}
OPEN_X265 = {"x265-params": "open-gop=1:log-level=0"}


def write(path, codec, options, b_frames=0):
    """A picture that moves, in noise, so that no two frames are alike."""
    noise = np.random.default_rng(0)
    picture = noise.integers(0, 160, (64, 96, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.bit_rate = 96, 64, 2_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = KEY_SPACING, b_frames
        for i in range(FRAMES):
            image = np.roll(picture, (i, 2 * i), (0, 1)) + noise.integers(0, 90, picture.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def all_frames(path):
    with av.open(str(path)) as container:
        start_s = (container.start_time or 0) / 1e6
        frames = [
            ((frame.pts if frame.pts is not None else frame.dts) * frame.time_base, frame)
            for frame in container.decode(video=0)
        ]
        return [(float(time_s) - start_s, frame.to_ndarray(format="rgb24")) for time_s, frame in frames]


@pytest.fixture
def decoded(monkeypatch):
    """Every frame that is decoded while the test runs."""
    found = []
    really = cursor.decoded
    monkeypatch.setattr(cursor, "decoded", lambda *args: (found.append(frame) or frame for frame in really(*args)))
    return found


@pytest.mark.parametrize(
    ("suffix", "codec", "options", "b_frames", "most"),
    [
        ("avi", "mpeg4", {}, 0, 0.6),
        ("avi", "mpeg4", {}, 2, 1),
        ("mp4", "mpeg4", {}, 2, 0.6),
        ("avi", "mjpeg", {}, 0, 0.15),
        ("flv", "flv", {}, 0, 0.6),
        ("webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "realtime"}, 0, 0.6),
        ("webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "realtime"}, 0, 0.6),
        ("mp4", "libx264", X264, 3, 0.6),
        ("mkv", "libx264", X264, 3, 0.6),
        ("ts", "libx264", X264, 3, 0.6),
        ("mp4", "libx264", OPEN_X264, 3, 1),
        ("ts", "libx264", OPEN_X264, 3, 1),
        ("ts", "libx264", {"x264-params": "intra-refresh=1:bframes=0"}, 0, 1),
        ("mp4", "libx265", X265, 3, 0.6),
        ("ts", "libx265", X265, 3, 0.6),
        ("mp4", "libx265", OPEN_X265, 3, 1),
        ("mp4", "libsvtav1", {"preset": "12", "svtav1-params": "lp=1"}, 0, 1),
    ],
)
def test_sampled_frames_are_those_of_full_decoding(tmp_path, decoded, suffix, codec, options, b_frames, most):
    path = write(tmp_path / f"v.{suffix}", codec, options, b_frames)
    whole = all_frames(path)
    every = [i / RATE for i in range(FRAMES)]
    dense = np.sort(np.random.default_rng(1).uniform(0, 1.95, 30)).tolist()
    for times_s in (every, dense, [0.0, 0.5, 1.0, 1.5], [1.9]):
        decoded.clear()
        frames = list(read_frames(path, times_s))
        assert [frame.requested_s for frame in frames] == times_s
        for frame in frames:
            shown_s, image = [shown for shown in whole if shown[0] < frame.requested_s + 1e-4 or shown is whole[0]][-1]
            assert frame.time_s == pytest.approx(shown_s, abs=1e-4)
            assert np.array_equal(frame.image, image)
        if len(times_s) == 4:
            assert len(decoded) <= most * FRAMES


def test_without_key_frames_packets_wait_for_the_decoder_up_to_a_limit(tmp_path, monkeypatch):
    path = write(tmp_path / "v.mp4", "libx264", {"x264-params": "bframes=0:keyint=600:scenecut=0"})
    whole = all_frames(path)
    for most_bytes in (1, 1000, 50_000):
        monkeypatch.setattr(packets, "MOST_BYTES_AHEAD", most_bytes)
        frames = list(read_frames(path, [0.0, 0.1, 1.5]))
        assert all(np.array_equal(f.image, whole[i][1]) for f, i in zip(frames, (0, 3, 45), strict=True))


@dataclass
class Packet:
    """What is asked of a packet; a number is its time."""

    pts: int | None
    is_keyframe: bool = False
    dts: int | None = None
    size: int = 10
    is_corrupt: bool = False


class Stream:
    """Its own codec context: one of MPEG-4 that says which packets it was told to leave out."""

    name, extradata, skip_frame = "mpeg4", None, "DEFAULT"

    def __init__(self):
        self.codec_context = self


def ahead(*given):
    stream = Stream()
    for packet in given:
        packet.dts = packet.pts if packet.dts is None else packet.dts
    return PacketsAhead(iter(given), stream, float), stream


def fed(path, stream, number):
    return [(packet.pts, stream.skip_frame) for packet, _ in zip(path, range(number), strict=False)]


def test_packets_before_a_key_frame_in_time_are_left_out():
    path, stream = ahead(*(Packet(i, is_keyframe=i % 4 == 0) for i in range(12)))
    path.look(6.0)
    assert path.newest_s() == 6.0
    assert [time_s for time_s, _ in fed(path, stream, 3)] == [4, 5, 6]
    path.look(8.0)  # the key frame that was read and not asked for now counts
    assert path.newest_s() == 8.0
    assert [time_s for time_s, _ in fed(path, stream, 9)] == [8, 9, 10, 11]
    path.look(20.0)
    assert path.newest_s() is None
    assert list(path) == []


def test_a_key_frame_that_is_damaged_or_overtaken_is_no_start():
    path, stream = ahead(Packet(0), Packet(1), Packet(2, is_keyframe=True, is_corrupt=True), Packet(3), Packet(9))
    path.look(3.0)
    assert [time_s for time_s, _ in fed(path, stream, 4)] == [0, 1, 2, 3]
    path, stream = ahead(Packet(0), Packet(3, dts=1), Packet(2, is_keyframe=True), Packet(9))
    path.look(3.0)
    assert path.newest_s() == 3.0
    assert [time_s for time_s, _ in fed(path, stream, 3)] == [0, 3, 2]


def test_the_decoder_is_told_what_it_may_leave_out():
    order = [0, 4, 1, 2, 3, 8, 5, 6, 7]
    path, stream = ahead(*(Packet(pts, dts=i - 1) for i, pts in enumerate(order)))
    path.look(2.0)
    told = fed(path, stream, 5)
    assert [time_s for time_s, kind in told if kind == "NONREF"] == [0, 1]
    assert [time_s for time_s, _ in told] == order[:5]


def test_packets_that_do_not_tell_their_times_are_all_decoded():
    path, stream = ahead(Packet(0, is_keyframe=True), Packet(None), Packet(2, is_keyframe=True), Packet(3), Packet(9))
    path.look(3.0)
    assert path.newest_s() is None
    assert len(fed(path, stream, 9)) == 5


def test_damage_in_what_is_left_out_is_not_seen_and_in_what_is_decoded_is(tmp_path):
    path = write(tmp_path / "v.mp4", "libx264", {"x264-params": "bframes=0:scenecut=0"})
    whole = all_frames(path)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start, size = places[11]  # of the frames 8 to 15
    data[start : start + size] = b"\xa5" * size
    path.write_bytes(data)
    for wanted, is_seen in (((2, 18), False), ((2, 14, 18), True)):
        damage = Damage()
        frames = list(read_frames(path, [i / RATE for i in wanted], damage=damage))
        assert bool(damage) == is_seen
        assert all(np.array_equal(frames[at].image, whole[wanted[at]][1]) for at in (0, -1))


def test_units_of_packets():
    idr, other, words = b"\x65abc", b"\x41abc", b"\x06seis"
    lengths = b"".join(len(unit).to_bytes(4, "big") + unit for unit in (words, idr))
    assert [lengths[i] for i in unit_starts(lengths, 4)] == [0x06, 0x65]
    marked = b"\0\0\1" + words + b"\0\0\0\1" + other
    assert [marked[i] for i in unit_starts(marked, 0)] == [0x06, 0x41]
    assert list(unit_starts(b"", 0)) == list(unit_starts(b"", 4)) == []
    extradata = b"\1\x64\0\x1f\xff\xe1"
    assert fresh_starts("h264", extradata)(lengths)
    assert not fresh_starts("h264", None)(marked)
    assert fresh_starts("h264", None)(marked + b"\0\0\1" + idr)
    assert not fresh_starts("h264", None)(b"\0\0\1")
    assert fresh_starts("mpeg4", None)(marked)
    assert not fresh_starts("some new codec", None)(marked)
