"""Every kind of picture becomes the same RGB of 8 bits."""

import random
import resource
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mme2e.errors import MediaError
from mme2e.media.image import read_image
from mme2e.media.region import Region

GREY = (np.arange(40 * 30).reshape(30, 40) % 256).astype(np.uint8)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def pixels(path, region=None):
    return read_image(path, region).pixels


def same(found, expected, tolerance=0):
    assert found.dtype == np.uint8
    expected = np.broadcast_to(expected[..., None] if expected.ndim == 2 else expected, found.shape)
    assert np.abs(found.astype(int) - expected).max() <= tolerance


def test_what_is_rgb_of_8_bits_stays_as_it_is(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "image.png")
    same(pixels(tmp_path / "image.png"), RGB)


@pytest.mark.parametrize("mode", ["L", "RGBA", "1", "P", "LA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    suffix = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    image = Image.fromarray(GREY // 128 * 255).convert("RGB").convert(mode)
    image.save(tmp_path / f"image.{suffix}", **({"quality": 100} if suffix == "jpg" else {}))
    same(pixels(tmp_path / f"image.{suffix}"), GREY // 128 * 255, tolerance=8 if suffix == "jpg" else 0)


class TestManyBits:
    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_16_bits_of_grey(self, tmp_path, suffix):
        Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / f"image.{suffix}")
        same(pixels(tmp_path / f"image.{suffix}"), GREY)

    def test_a_dark_picture_of_16_bits_stays_dark(self, tmp_path):
        Image.fromarray(GREY.astype(np.uint16)).save(tmp_path / "image.png")
        same(pixels(tmp_path / "image.png"), np.round(GREY / 257))

    def test_a_portable_grey_map_of_12_bits(self, tmp_path):
        values = (GREY.astype(np.float64) / 255 * 4095).round().astype(">u2")
        (tmp_path / "image.pgm").write_bytes(b"P5 40 30 4095\n" + values.tobytes())
        same(pixels(tmp_path / "image.pgm"), GREY)

    @pytest.mark.parametrize("factor", [1, 257, 2**23])
    def test_integers_of_32_bits(self, tmp_path, factor):
        Image.fromarray(GREY.astype(np.int32) * factor).save(tmp_path / "image.tif")
        same(pixels(tmp_path / "image.tif"), GREY, tolerance=1)

    def test_unsigned_integers_of_32_bits(self, tmp_path):
        write_tiff(tmp_path / "image.tif", GREY.astype("<u4") << 24, bits=32, sample_format=1)
        same(pixels(tmp_path / "image.tif"), GREY, tolerance=1)

    def test_a_picture_stored_inverted(self, tmp_path):
        write_tiff(tmp_path / "image.tif", (255 - GREY.astype("<u2")) * 257, bits=16, photometric=0)
        same(pixels(tmp_path / "image.tif"), GREY)

    @pytest.mark.parametrize(("scale", "offset"), [(1 / 255, 0), (1, 0), (257, 0), (1.1 / 255, 0), (2 / 255, -1)])
    def test_floating_point(self, tmp_path, scale, offset):
        Image.fromarray(GREY.astype(np.float32) * scale + offset).save(tmp_path / "image.tif")
        expected = np.minimum(GREY * 1.1, 255) if scale == 1.1 / 255 else GREY
        same(pixels(tmp_path / "image.tif"), expected, tolerance=1)

    def test_pixels_that_are_no_number_are_black(self, tmp_path):
        values = GREY.astype(np.float32) / 255
        values[0, :3] = np.nan, np.inf, -np.inf
        Image.fromarray(values).save(tmp_path / "image.tif")
        expected = GREY.copy()
        expected[0, :3] = 0, 255, 0
        same(pixels(tmp_path / "image.tif"), expected)

    @pytest.mark.parametrize("name", ["gray16.png", "float01.tif"])
    def test_pictures_that_went_white_or_black(self, shared, name):
        grey = np.asarray(Image.open(shared("inputs/base.png")).convert("L"))
        same(pixels(shared(f"inputs/{name}")), grey, tolerance=1)


class TestTransparency:
    """What lies under fully transparent pixels is not seen: the background, white, is."""

    hidden = GREY < 100

    def expected(self, opaque):
        return np.where(self.hidden[..., None], 255, opaque)

    def test_rgba(self, tmp_path):
        alpha = np.where(self.hidden, 0, 255).astype(np.uint8)
        Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "image.png")
        same(pixels(tmp_path / "image.png"), self.expected(RGB))

    def test_half_transparent(self, tmp_path):
        Image.new("RGBA", (5, 4), (0, 100, 200, 128)).save(tmp_path / "image.webp", lossless=True)
        same(pixels(tmp_path / "image.webp"), np.full((4, 5, 3), (127, 177, 227)), tolerance=1)

    def test_grey_with_alpha(self, tmp_path):
        alpha = np.where(self.hidden, 0, 255).astype(np.uint8)
        Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(alpha))).save(tmp_path / "image.png")
        same(pixels(tmp_path / "image.png"), self.expected(GREY[..., None]))

    @pytest.mark.parametrize("suffix", ["png", "gif"])
    def test_palette(self, tmp_path, suffix):
        image = Image.fromarray(np.where(self.hidden, 0, 1).astype(np.uint8)).convert("P")
        image.putpalette([250, 10, 10, 10, 20, 30])
        image.save(tmp_path / f"image.{suffix}", transparency=0)
        same(pixels(tmp_path / f"image.{suffix}"), self.expected(np.array([10, 20, 30])))

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_a_grey_value_that_means_transparent(self, tmp_path, dtype):
        values = np.where(self.hidden, 7, 200).astype(dtype) * (257 if dtype is np.uint16 else 1)
        image = Image.fromarray(values)
        image.save(tmp_path / "image.png", transparency=int(values.min()))
        same(pixels(tmp_path / "image.png"), self.expected(np.array([200, 200, 200])))

    def test_noise_under_transparent_pixels(self, shared):
        stored = np.asarray(Image.open(shared("inputs/rgba_hidden.png")))
        base = np.asarray(Image.open(shared("inputs/base.png")).convert("RGB"))
        same(pixels(shared("inputs/rgba_hidden.png")), np.where(stored[..., 3:] == 0, 255, base))


class TestOrientation:
    @pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_camera_s_orientation_is_followed(self, tmp_path, suffix, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.zeros((16, 32), dtype=np.uint8)
        stored[:8, :16] = 255
        Image.fromarray(stored).save(tmp_path / f"image.{suffix}", exif=exif)
        upright = {
            1: stored,
            2: stored[:, ::-1],
            3: stored[::-1, ::-1],
            4: stored[::-1],
            5: stored.T,
            6: stored.T[:, ::-1],
            7: stored.T[::-1, ::-1],
            8: stored.T[::-1],
        }
        same(pixels(tmp_path / f"image.{suffix}"), upright[orientation], tolerance=3)

    def test_broken_exif_data_do_not_cost_the_picture(self, tmp_path):
        Image.fromarray(RGB).save(tmp_path / "image.png", exif=b"Exif\0\0II*\0\xff\xff")
        same(pixels(tmp_path / "image.png"), RGB)


class TestRegion:
    def test_it_is_cut(self, tmp_path):
        Image.fromarray(RGB).save(tmp_path / "image.png")
        same(pixels(tmp_path / "image.png", Region(x_px=2, y_px=1, width_px=3, height_px=4)), RGB[1:5, 2:5])
        with pytest.raises(MediaError, match=r"image\.png.*does not fit into a frame of 40x30 px"):
            pixels(tmp_path / "image.png", Region(x_px=38, y_px=0, width_px=3, height_px=3))

    def test_it_is_in_pixels_of_the_file_also_where_that_is_made_smaller(self, tmp_path):
        image = Image.new("L", (4800, 3400))
        image.paste(200, (3000, 1000, 3600, 1400))
        image.save(tmp_path / "image.png")
        found = read_image(tmp_path / "image.png", Region(x_px=3000, y_px=1000, width_px=600, height_px=400))
        assert (found.reduction, found.pixels.shape) == (2, (200, 300, 3))
        same(found.pixels, np.full((200, 300), 200))
        with pytest.raises(MediaError, match="does not fit into a frame of 4800x3400 px"):
            read_image(tmp_path / "image.png", Region(x_px=4000, y_px=0, width_px=1100, height_px=400))


class TestLarge:
    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux' /proc")
    def test_a_photograph_of_108_megapixels(self, shared):
        code = (
            "import sys; from pathlib import Path; from mme2e.media.image import read_image; "
            "found = read_image(Path(sys.argv[1])); "
            # Not getrusage: that counts what the process was before it began to run Python.
            "used = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]; "
            "print(found.pixels.shape, found.reduction, int(used[0]) // 1024)"
        )
        path = shared("inputs/huge_108mp.jpg")
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        size, used_mib = done.stdout.rsplit(" ", 1)
        assert size == "(2250, 3000, 3) 4"
        assert int(used_mib) < 500

    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    def test_a_large_picture_is_made_smaller(self, tmp_path, suffix):
        image = Image.linear_gradient("L").resize((4801, 3403))
        image.save(tmp_path / f"image.{suffix}")
        found = read_image(tmp_path / f"image.{suffix}")
        assert (found.reduction, found.pixels.shape) == (2, (1702, 2401, 3))
        same(found.pixels, np.asarray(image.reduce(2)), tolerance=2)

    def test_a_large_picture_of_16_bits(self, tmp_path):
        values = np.zeros((4002, 4002), dtype=np.uint16)
        values[2000:] = 200 * 257
        Image.fromarray(values).save(tmp_path / "image.png", compress_level=1)
        found = read_image(tmp_path / "image.png")
        assert (found.reduction, found.pixels.shape) == (2, (2001, 2001, 3))
        same(found.pixels, np.repeat(np.array([0, 200], np.uint8), [1000, 1001])[:, None].repeat(2001, 1))

    @pytest.mark.parametrize("side_px", [9_400, 12_000, 2_000_000])
    @pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
    def test_a_bomb_is_refused_before_it_is_decoded(self, tmp_path, side_px):
        write_bomb(tmp_path / "bomb.png", side_px)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(MediaError, match=r"bomb\.png cannot be read as an image: it claims .* million"):
            read_image(tmp_path / "bomb.png")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000

    def test_a_progressive_jpeg_is_decoded_whole_and_refused_when_it_is_large(self, tmp_path):
        Image.new("L", (8, 8)).save(tmp_path / "image.jpg", progressive=True)
        content = bytearray((tmp_path / "image.jpg").read_bytes())
        struct.pack_into(">HH", content, content.index(b"\xff\xc2") + 5, 8100, 10_000)
        (tmp_path / "image.jpg").write_bytes(content)
        with pytest.raises(MediaError, match="10000x8100"):
            read_image(tmp_path / "image.jpg")


class TestAnimations:
    @pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
    def test_the_first_picture_is_taken_and_that_there_are_more_is_noted(self, tmp_path, suffix):
        pictures = [Image.new("RGB", (8, 8), (grey, grey, grey)) for grey in (50, 100, 150)]
        options = {"lossless": True} if suffix == "webp" else {}
        pictures[0].save(tmp_path / f"image.{suffix}", save_all=True, append_images=pictures[1:], **options)
        found = read_image(tmp_path / f"image.{suffix}")
        same(found.pixels, np.full((8, 8), 50))
        assert found.animated

    def test_a_single_picture_is_no_animation(self, tmp_path):
        for suffix in ("gif", "webp", "png", "jpg", "tif"):
            Image.new("RGB", (8, 8)).save(tmp_path / f"image.{suffix}")
            assert not read_image(tmp_path / f"image.{suffix}").animated


class TestDamage:
    @pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n garbage", b"GIF89a", b"\xff\xd8\xff\xe0"])
    def test_what_is_no_image_is_refused(self, tmp_path, content):
        (tmp_path / "image.png").write_bytes(content)
        with pytest.raises(MediaError, match=r"image\.png cannot be read as an image"):
            read_image(tmp_path / "image.png")

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_a_picture_that_breaks_off_is_refused(self, tmp_path, suffix):
        path = tmp_path / f"image.{suffix}"
        Image.fromarray(np.tile(RGB, (10, 10, 1))).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(MediaError, match="cannot be read as an image"):
            read_image(path)

    def test_a_program_for_a_printer_is_not_run(self, tmp_path):
        Image.fromarray(RGB).save(tmp_path / "image.eps")
        (tmp_path / "image.eps").rename(tmp_path / "image.png")
        with pytest.raises(MediaError, match="EPS is a program for a printer"):
            read_image(tmp_path / "image.png")

    def test_a_damaged_second_picture_does_not_cost_the_first(self, tmp_path):
        path = tmp_path / "image.gif"
        Image.fromarray(GREY).save(path, save_all=True)
        first = path.stat().st_size - 1  # without the end mark
        Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY[::-1])])
        whole = path.read_bytes()
        for end in range(first + 30, first + 60):
            path.write_bytes(whole[:end] + b"\1")
            same(pixels(path), GREY)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(MediaError, match="is not a file"):
            read_image(tmp_path / "image.png")

    @pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp", "ppm", "jp2", "tga", "ico"])
    @pytest.mark.filterwarnings("ignore")
    def test_any_damage_gives_a_picture_or_one_line(self, tmp_path, suffix):
        path = tmp_path / f"image.{suffix}"
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(RGB).save(path, **({"exif": exif} if suffix in ("png", "jpg", "tif", "webp") else {}))
        whole, chance = path.read_bytes(), random.Random(7)
        for _ in range(60):
            damaged = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
            for _ in range(chance.randrange(20)):
                if damaged:
                    damaged[chance.randrange(min(len(damaged), 400))] = chance.randrange(256)
            path.write_bytes(damaged)
            with suppress(MediaError):
                assert read_image(path).pixels.shape[2] == 3


def write_tiff(path, values, *, bits, sample_format=1, photometric=1):
    """One strip of little-endian grey values, as Pillow does not write them."""
    height, width = values.shape
    entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, height),
        (279, values.nbytes),
        (339, sample_format),
    ]
    folder = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in entries)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + values.nbytes) + values.tobytes() + folder + b"\0" * 4)


def write_bomb(path, side_px):
    """A PNG of a few bytes that claims side_px x side_px."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
