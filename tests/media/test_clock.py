from dataclasses import dataclass

import pytest

from mme2e.media.clock import RecordingClock

VIDEO, AUDIO = 0, 1


@dataclass
class Packet:
    """What the clock asks of a packet, in milliseconds."""

    dts: int | None
    pts: int | None
    duration: int | None = 40


def place(stamps, *, leaps=True, origin_s=0.0, tracks=None):
    """Where (track, ms) pairs, in file order, come to lie, in ms; and the last remark."""
    remarks = []
    clock = RecordingClock(origin_s, leaps=leaps, remark=remarks.append)
    for track in tracks or sorted({track for track, _ in stamps}):
        clock.add_track(track, 1, 1000, back_s=0.1 if {track for track, _ in stamps} == {AUDIO} else 1.0)
    placed = []
    for track, ms in stamps:
        packet = Packet(dts=ms, pts=ms)
        clock.place(packet, track)
        placed.append(packet.pts)
    return placed, remarks[-1] if remarks else None


def part(track, start, count, step=40):
    return [(track, start + i * step) for i in range(count)]


def interleaved(*tracks):
    return sorted((stamp for track in tracks for stamp in track), key=lambda stamp: stamp[1])


@pytest.mark.parametrize("leaps", [True, False])
@pytest.mark.parametrize("start", [0, 5000, -300])
def test_an_ordinary_file_stays_as_it_is(leaps, start):
    stamps = interleaved(part(VIDEO, start, 50), part(AUDIO, start + 7, 90, 23))
    assert place(stamps, leaps=leaps, origin_s=start / 1000) == ([ms for _, ms in stamps], None)


@pytest.mark.parametrize("second", [20_000_000, 0, 500, -26 * 3_600_000])
def test_a_leap_a_restart_and_a_wrap_are_closed_with_both_tracks_in_step(second):
    first = interleaved(part(VIDEO, 0, 75), part(AUDIO, 10, 75))
    stamps = first + interleaved(part(VIDEO, second, 75), part(AUDIO, second + 10, 75))
    placed, remark = place(stamps)
    video = [ms for (track, _), ms in zip(stamps, placed, strict=True) if track == VIDEO]
    audio = [ms for (track, _), ms in zip(stamps, placed, strict=True) if track == AUDIO]
    assert video == [i * 40 for i in range(75)] + [3010 + i * 40 for i in range(75)]  # where the first audio ended
    assert {a - v for a, v in zip(audio, video, strict=True)} == {10}
    assert "at 3.0 s" in remark
    assert ("begin again" in remark) == (second < 3000)


def test_a_track_that_lags_in_the_file_joins_the_part_that_another_opened():
    late = [*part(VIDEO, 0, 75), *part(AUDIO, 0, 60), *part(VIDEO, 20_000_000, 75)]
    stamps = [*late, *part(AUDIO, 2400, 15), *part(AUDIO, 20_000_000, 75)]
    placed, _ = place(stamps)
    assert placed[-75:] == placed[135:210] == [3000 + i * 40 for i in range(75)]
    assert placed[210:225] == [2400 + i * 40 for i in range(15)]


def test_one_wrong_time_stamp_does_not_move_what_follows():
    stamps = [*part(VIDEO, 0, 10), (VIDEO, 9_000_000), *part(VIDEO, 440, 10)]
    placed, remark = place(stamps)
    assert placed[:10] + placed[11:] == [i * 40 for i in range(10)] + [440 + i * 40 for i in range(10)]
    assert placed[10] == 400
    assert "leap ahead" in remark


def test_a_hole_is_no_leap_while_another_track_goes_on():
    hours = 7_200_000
    stamps = interleaved(part(VIDEO, 0, hours // 1000, 1000), [*part(AUDIO, 0, 10), *part(AUDIO, hours - 400, 10)])
    assert place(stamps) == ([ms for _, ms in stamps], None)


def test_a_hole_without_a_witness_is_one_up_to_a_minute():
    for leaps, longest_ms in ((True, 10_000), (False, 60_000)):
        for gap_ms, closed in ((longest_ms - 100, False), (longest_ms + 100, True)):
            placed, remark = place([*part(AUDIO, 0, 3), *part(AUDIO, 120 + gap_ms, 3)], leaps=leaps)
            assert placed[3] == (120 if closed else 120 + gap_ms)
            assert (remark is not None) == closed


def test_many_leaps_are_one_remark_and_bounded_work():
    stamps = [(AUDIO, (i % 2) * 90_000_000 + i * 90_000) for i in range(300)]
    placed, remark = place(stamps)
    assert max(placed) < 300 * 10_000
    assert "the first of" in remark


def test_a_recording_whose_first_packet_comes_hours_late_begins_with_it():
    placed, remark = place(part(AUDIO, 7_200_000, 5))
    assert placed == [i * 40 for i in range(5)]
    assert "leap ahead by 7200.0 s at 0.0 s" in remark


def test_a_claimed_duration_is_believed_up_to_a_limit():
    clock = RecordingClock(0.0, leaps=False, remark=lambda _: None)
    clock.add_track(VIDEO, 1, 1000, back_s=1.0)
    clock.place(Packet(dts=0, pts=0, duration=20_000_000), VIDEO)
    packet = Packet(dts=20_000_000, pts=20_000_000)
    clock.place(packet, VIDEO)
    assert packet.pts <= 60_000


def test_packets_without_times_and_after_a_jump():
    clock = RecordingClock(1.0, leaps=False, remark=lambda _: None)
    clock.add_track(VIDEO, 1, 1000, back_s=1.0)
    for dts, pts in ((1000, 1000), (None, None), (None, 1080)):
        packet = Packet(dts=dts, pts=pts)
        clock.place(packet, VIDEO)
        assert (packet.dts, packet.pts) == (dts, pts)
    assert clock.seek_s(500.0) == 501.0
    clock.jumped()
    packet = Packet(dts=500_000, pts=500_000)
    clock.place(packet, VIDEO)
    assert packet.pts == 500_000


@pytest.mark.parametrize("dts", [80, None])
def test_a_picture_is_shown_near_the_time_when_it_is_decoded(dts):
    remarks = []
    clock = RecordingClock(0.0, leaps=False, remark=remarks.append)
    clock.add_track(VIDEO, 1, 1000, back_s=1.0)
    for start in (0, 40):
        clock.place(Packet(dts=start, pts=start), VIDEO)
    packet = Packet(dts=dts, pts=31_460_000)
    clock.place(packet, VIDEO)
    assert packet.pts == 80
    assert remarks == ["time stamps that lie far off were corrected"]
    early = Packet(dts=120, pts=3120)
    clock.place(early, VIDEO)
    assert early.pts == 3120
