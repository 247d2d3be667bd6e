import numpy as np
import pytest

from mme2e.config import AudioAugmentSettings
from mme2e.data.augment_audio import (
    at_speed,
    augment_waveform,
    doubled_rate,
    halved_rate,
    in_room,
    quantised,
    room_impulse,
    through_mu_law,
    with_noise,
    within_band,
)

RATE_HZ = 16_000
EACH = {
    "time_shift_s": 0.5,
    "speed": 0.2,
    "room": 1.0,
    "noise": 1.0,
    "gain_db": 12.0,
    "clipping": 1.0,
    "telephone": 1.0,
    "codec": 1.0,
}
KEEPS_LENGTH = [name for name in EACH if name not in ("time_shift_s", "speed")]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def speech():
    """(40001,) int16: bursts of noise with pauses, in which all frequencies occur; an odd number of samples."""
    loudness = np.clip(np.sin(np.arange(40_001) / 2500), 0, None)
    return (np.random.default_rng(7).standard_normal(40_001) * 2000 * loudness).astype(np.int16)


def changed(samples, seed=0, **values):
    return augment_waveform(samples, AudioAugmentSettings(**values), np.random.default_rng(seed))


def tone(hz, samples=16_000, amplitude=8000.0):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / RATE_HZ)).astype(np.float32)


def power_db(wave):
    return 10 * np.log10(np.square(wave, dtype=np.float64).mean())


def band_db(wave, lowest_hz, highest_hz):
    """Power within a band, in dB; windowed, so that the ends do not leak into other bands."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    return 10 * np.log10(spectrum[(hz >= lowest_hz) & (hz < highest_hz)].sum() + 1e-9)


def loudest_hz(wave):
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * RATE_HZ / len(wave)


class TestAll:
    def test_off_changes_nothing_and_draws_nothing(self, speech, rng):
        before = rng.bit_generator.state
        assert augment_waveform(speech, AudioAugmentSettings(), rng) is speech
        assert rng.bit_generator.state == before

    @pytest.mark.parametrize("name", EACH)
    def test_each_is_decided_by_the_generator_alone(self, name, speech):
        before = speech.copy()
        first, again, other = (changed(speech, seed, **{name: EACH[name]}) for seed in (1, 1, 2))
        assert first.dtype == np.int16
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other) or name == "telephone"
        assert not np.array_equal(first, speech)
        assert np.array_equal(speech, before)
        assert (len(first) == len(speech)) == (name in KEEPS_LENGTH)

    @pytest.mark.parametrize("name", [*EACH, "all"])
    @pytest.mark.parametrize("length", [0, 1, 2, 3, 17, 1601])
    def test_silent_short_and_empty_audio_comes_to_no_harm(self, name, length, speech):
        values = EACH if name == "all" else {name: EACH[name]}
        for seed in range(8):
            silent = changed(np.zeros(length, np.int16), seed, **values)
            short = changed(speech[2000 : 2000 + length], seed, **values)
            assert silent.dtype == short.dtype == np.int16
            assert not silent.any()
            assert len(silent) == len(short)
            assert (len(short) > 0) == (length > 0)
            assert name not in KEEPS_LENGTH or len(short) == length

    def test_a_single_sample_stays(self):
        values = {name: value for name, value in EACH.items() if name in ("time_shift_s", "speed", "telephone")}
        for seed in range(5):
            assert changed(np.array([1000], np.int16), seed, time_shift_s=1.0).tolist() == [1000]
            assert len(changed(np.array([1000], np.int16), seed, **values)) == 1

    @pytest.mark.parametrize("name", ["room", "noise", "clipping", "telephone", "codec"])
    def test_probabilities(self, name, speech):
        short = speech[1000:3000]
        happened = [not np.array_equal(changed(short, seed, **{name: 0.3}), short) for seed in range(400)]
        assert 0.22 < np.mean(happened) < 0.38

    def test_the_loudest_audio_saturates_and_does_not_wrap(self):
        loud = np.where(np.arange(8000) // 40 % 2 == 0, 32767, -32768).astype(np.int16)
        for seed in range(10):
            louder = changed(loud, seed, gain_db=30.0)
            assert (np.sign(louder) == np.sign(loud)).all()
        assert max(changed(loud, seed, gain_db=30.0).max() for seed in range(10)) == 32767


class TestSpeed:
    def test_length_and_pitch(self):
        for seed in range(10):
            rate = 1 + np.random.default_rng(seed).uniform(-0.2, 0.2)
            after = changed(tone(1000).astype(np.int16), seed, speed=0.2)
            assert len(after) == round(16_000 / rate)
            assert loudest_hz(after) == pytest.approx(1000 * rate, abs=2)
            assert power_db(after) == pytest.approx(power_db(tone(1000)), abs=0.2)

    @pytest.mark.parametrize("speed", [0.5, 0.83, 1.0, 1.17, 1.5])
    def test_a_tone_becomes_the_tone_that_mathematics_says(self, speed):
        wave = at_speed(tone(600, 20_000), speed)
        expected = 8000 * np.sin(2 * np.pi * 600 * speed * np.arange(len(wave)) / RATE_HZ)
        assert abs(wave - expected)[500:-500].max() < 80

    def test_what_would_be_above_half_of_the_rate_is_left_out(self):
        assert power_db(at_speed(tone(7500), 1.4)[500:-500]) < power_db(tone(7500)) - 50


class TestTimeShift:
    def test_a_random_start_is_left_out(self, speech):
        dropped = []
        for seed in range(50):
            after = changed(speech, seed, time_shift_s=0.5)
            dropped.append(len(speech) - len(after))
            assert np.array_equal(after, speech[dropped[-1] :])
        assert 0 <= min(dropped) < 800
        assert 7200 < max(dropped) <= 8000

    def test_half_stays(self, speech):
        assert min(len(changed(speech[:1000], seed, time_shift_s=9.0)) for seed in range(50)) in range(500, 600)


class TestRoom:
    @pytest.mark.parametrize("t60_s", [0.1, 0.35, 0.6])
    def test_the_echo_decays_by_60_db(self, t60_s, rng):
        impulse = room_impulse(t60_s, 6.0, rng)
        assert len(impulse) == round(t60_s * RATE_HZ)
        assert impulse[0] == 1
        echo = np.square(impulse[1:], dtype=np.float64)
        assert 10 * np.log10(1 / echo.sum()) == pytest.approx(6, abs=0.01)
        left_db = 10 * np.log10(np.cumsum(echo[::-1])[::-1])
        early, late = (int(np.argmax(left_db < left_db[0] - drop)) for drop in (5, 35))
        assert (late - early) / 30 * 60 == pytest.approx(len(impulse), rel=0.1)

    def test_it_is_a_convolution_that_keeps_the_power(self, speech, rng):
        wave = speech[:2000].astype(np.float32)
        heard = in_room(wave, 0.2, 3.0, rng)
        plain = np.convolve(wave, room_impulse(0.2, 3.0, np.random.default_rng(0)))[:2000]
        assert np.corrcoef(heard, plain)[0, 1] > 0.99999
        assert power_db(heard) == pytest.approx(power_db(wave), abs=0.01)

    def test_nothing_is_heard_before_it_is_said(self, rng):
        wave = np.zeros(4000, np.float32)
        wave[1000] = 9000
        heard = in_room(wave, 0.1, 0.0, rng)
        assert abs(heard[:1000]).max() < 1
        assert abs(heard[1001:2000]).max() > 100


class TestNoise:
    @pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("signal_to_noise_db", [5.0, 18.0, 30.0])
    def test_signal_to_noise_ratio(self, slope, signal_to_noise_db, speech, rng):
        wave = speech.astype(np.float32)
        noise = with_noise(wave, slope, signal_to_noise_db, rng) - wave
        assert power_db(wave) - power_db(noise) == pytest.approx(signal_to_noise_db, abs=0.05)

    @pytest.mark.parametrize(("slope", "octave_db"), [(0.0, 3.0), (0.5, 0.0), (1.0, -3.0)])
    def test_colours(self, slope, octave_db, rng):
        wave = np.ones(160_000, np.float32)
        noise = with_noise(wave, slope, 0.0, rng) - wave
        octaves = [band_db(noise, hz, 2 * hz) for hz in (200, 400, 800, 1600, 3200)]
        assert np.diff(octaves).mean() == pytest.approx(octave_db, abs=0.3)

    def test_between_5_and_30_db_as_drawn(self, speech):
        ratios = [power_db(speech) - power_db(changed(speech, s, noise=1.0) - speech.astype(float)) for s in range(60)]
        assert 4.5 < min(ratios) < 8
        assert 27 < max(ratios) < 30.5


class TestMicrophone:
    def test_gain(self, speech):
        changes = []
        for seed in range(40):
            expected = np.random.default_rng(seed).uniform(-12, 12)
            changes.append(power_db(changed(speech, seed, gain_db=12.0)) - power_db(speech))
            assert changes[-1] == pytest.approx(expected, abs=0.1)
        assert min(changes) < -10
        assert max(changes) > 10

    def test_clipping_cuts_the_peaks_and_nothing_else(self, speech):
        peak = abs(speech.astype(int)).max()
        for seed in range(20):
            after = changed(speech, seed, clipping=1.0)
            most = abs(after.astype(int)).max()
            assert 0.199 < most / peak < 0.601
            assert np.array_equal(after, np.clip(speech, -most, most))


class TestLine:
    def test_the_telephone_has_its_band_and_nothing_else(self, speech):
        after = changed(speech, telephone=1.0).astype(float)
        assert band_db(after, 300, 3400) == pytest.approx(band_db(speech, 300, 3400), abs=0.05)
        assert band_db(after, 0, 90) < band_db(speech, 0, 90) - 40
        assert band_db(after, 3650, 8000) < band_db(speech, 3650, 8000) - 40

    @pytest.mark.parametrize(("hz", "passes"), [(50, False), (310, True), (3390, True), (3700, False), (7900, False)])
    def test_tones_within_and_outside_of_the_band(self, hz, passes):
        change_db = power_db(within_band(tone(hz), 300, 3400)[1000:-1000]) - power_db(tone(hz))
        assert change_db == pytest.approx(0, abs=0.1) if passes else change_db < -40

    def test_half_of_the_rate_and_back(self):
        for hz, passes in ((440, True), (3700, True), (4100, False), (6000, False)):
            halved = halved_rate(tone(hz, 16_001))
            assert len(halved) == 8001
            back = doubled_rate(halved)[:16_001]
            if passes:
                assert abs(back - tone(hz, 16_001))[500:-500].max() < 80
            else:
                assert power_db(back[500:-500]) < power_db(tone(hz)) - 40

    @pytest.mark.parametrize("bits", [8, 10, 12])
    def test_bits_give_so_many_steps(self, bits, speech):
        wave = speech.astype(np.float32)
        after = quantised(wave, bits)
        step = abs(wave).max() / 2 ** (bits - 1)
        assert len(np.unique(after)) <= 2**bits + 1
        assert abs(after - wave).max() <= step / 2 * 1.001
        assert np.allclose(after / step, np.rint(after / step), atol=1e-3)

    def test_the_mu_law_has_255_levels_and_is_finer_where_it_is_quiet(self):
        wave = np.arange(-32768, 32768).astype(np.float32)
        after = through_mu_law(wave)
        assert len(np.unique(np.rint(after))) == 255
        assert (np.diff(after) >= 0).all()
        assert np.array_equal(after[1:], -after[:0:-1])
        assert after[32768] == 0
        assert abs(after - wave)[32768 - 100 : 32768 + 100].max() < 5
        assert abs(after / np.where(wave == 0, 1, wave) - 1)[abs(wave) > 2000].max() < 0.025
        assert after.max() == pytest.approx(32768, abs=1)

    def test_every_codec_occurs_and_leaves_speech_as_it_was_but_for_its_noise(self, speech):
        limited = within_band(speech.astype(np.float32), 0, 3600).astype(np.int16)
        ratios, halved = [], []
        for seed in range(40):
            after = changed(limited, seed, codec=1.0)
            ratios.append(power_db(limited) - power_db(after - limited.astype(float)))
            broad = changed(speech, seed, codec=1.0)
            halved.append(band_db(broad, 4050, 8000) < band_db(speech, 4050, 8000) - 30)
        assert min(ratios) > 25
        assert 0.3 < np.mean(halved) < 0.9
