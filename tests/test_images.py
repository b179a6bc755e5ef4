"""Hostile and odd pictures: each gives the right pixels or a sentence, never anything else."""

import io
import os
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tokviz.errors import InputError
from tokviz.images import (
    LETTERBOX_GREY,
    LETTERBOX_SIDE,
    MAX_FILE_BYTES,
    letterboxed,
    open_image,
    preview_jpeg,
)

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture, format_="PNG", **options):
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def red_over_blue(size=(4, 6), mode="RGB"):
    """Upper half red, lower half blue."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, (0, 0, size[0], size[1] // 2))
    return picture.convert(mode)


def png_chunk(kind, body):
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def png_claiming(width, height, *extra):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *extra]
    chunks += [png_chunk(b"IDAT", zlib.compress(b"\0" * 100)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def outcome(data):
    """RGB, damaged or refused; anything but an InputError goes through to the test."""
    try:
        return open_image(data).mode
    except InputError as error:
        return "damaged" if "damaged" in str(error) else "refused"


def close(a, b, within=12):
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).max() <= within


# -- what is allowed gives the right pixels --------------------------------------------------------


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_allowed_format_gives_the_same_upright_rgb_picture(format_):
    picture = open_image(encoded(red_over_blue((32, 32)), format_))
    assert (picture.mode, picture.size) == ("RGB", (32, 32))
    assert close(picture.getpixel((16, 4)), RED, 40)
    assert close(picture.getpixel((16, 28)), BLUE, 40)


def test_path_bytes_image_and_array_give_the_same_pixels(tmp_path):
    picture = red_over_blue()
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture))
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), picture):
        assert (np.asarray(open_image(source)) == np.asarray(picture)).all()
    assert (np.asarray(open_image(np.asarray(picture))) == np.asarray(picture)).all()


def test_the_source_image_is_left_as_it_was():
    picture = red_over_blue()
    picture.info["comment"] = "mine"
    opened = open_image(picture)
    opened.putpixel((0, 0), (1, 2, 3))
    assert picture.getpixel((0, 0)) == RED
    assert picture.info == {"comment": "mine"}


def test_one_pixel_is_a_picture():
    assert open_image(encoded(Image.new("RGB", (1, 1), RED))).getpixel((0, 0)) == RED


def test_cmyk_becomes_rgb():
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for format_ in ("TIFF", "JPEG"):
        assert close(open_image(encoded(picture, format_)).getpixel((4, 4)), RED, 25)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(format_):
    ramp = np.array([[0, 257, 32768, 65535]], np.uint16)
    grey = np.asarray(open_image(encoded(Image.fromarray(ramp), format_)))[0, :, 0]
    assert grey.tolist() == [0, 1, 128, 255]


def test_big_endian_sixteen_bit_grey_is_scaled_alike():
    picture = Image.frombytes("I;16B", (2, 1), b"\x80\x00\xff\xff")
    assert np.asarray(open_image(picture))[0, :, 0].tolist() == [128, 255]


def test_palette_colours_are_looked_up():
    assert open_image(encoded(red_over_blue(mode="P"))).getpixel((0, 5)) == BLUE


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_laid_on_white(mode):
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 255))
    if mode == "P":
        data = encoded(picture, "GIF", transparency=0)
    else:
        data = encoded(picture.convert(mode))
    opened = open_image(data)
    assert opened.getpixel((0, 0)) == WHITE
    assert opened.getpixel((1, 0)) == (0, 0, 0)


def test_half_transparent_is_mixed_with_white():
    picture = Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert close(open_image(encoded(picture)).getpixel((0, 0)), (255, 127, 127), 1)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(format_):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    extra = {"lossless": True} if format_ == "WEBP" else {}
    data = encoded(frames[0], format_, save_all=True, append_images=frames[1:], **extra)
    assert close(open_image(data).getpixel((4, 4)), RED)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(format_, orientation):
    upright = red_over_blue((16, 32))
    turned_back = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in turned_back.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_image(encoded(stored, format_, exif=exif))
    assert opened.size == (16, 32)
    assert close(opened.getpixel((8, 4)), RED, 40)
    assert close(opened.getpixel((8, 28)), BLUE, 40)


def test_a_broken_exif_block_does_not_cost_the_picture():
    data = encoded(red_over_blue((16, 16)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert open_image(data).size == (16, 16)


def test_metadata_is_left_behind():
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "taken at home")
    for data in (
        encoded(red_over_blue((16, 16)), "JPEG", exif=exif, comment=b"taken at home"),
        encoded(red_over_blue((16, 16)), "PNG", exif=exif, pnginfo=text),
    ):
        opened = open_image(data)
        assert b"taken at home" in data
        assert not opened.info
        assert not opened.getexif()
        assert b"taken at home" not in encoded(opened) + preview_jpeg(opened)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), 7),
        (np.full((2, 3, 1), 7, np.uint8), 7),
        (np.full((2, 3), 65535, np.uint16), 255),
        (np.full((2, 3, 3), 0.2, np.float32), 51),
        (np.ones((2, 3), bool), 255),
        (np.full((6, 4, 3), 9, np.uint8)[::3, ::2][:, :], 9),
    ],
)
def test_arrays_of_every_usual_kind_are_read(array, expected):
    opened = open_image(array)
    assert opened.size == (array.shape[1], array.shape[0])
    assert opened.getpixel((0, 0)) == (expected,) * 3


# -- what is not allowed gives a sentence ----------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"%PDF-1.7 ...", "PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\0\0\0\x20ftypheic\0\0", "HEIC"),
        (b"\0\0\0\x18ftypmp42\0\0", "is a video"),
        (b"\x1aE\xdf\xa3 webm", "is a video"),
        (b"RIFF\0\0\0\0AVI LIST", "is a video"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"image\tquestion\na.png\twhat is it?\n", "is a text file, not a picture"),
        (b"\0\0\0\x20ftypavif\0\0", "AVIF"),
        (b"%!PS-Adobe-3.0 EPSF", "PostScript"),
        (b"PK\x03\x04rest", "zip"),
        (None, "nothing"),
        (7, "int"),
        (np.zeros((2, 2, 5), np.uint8), "(2, 2, 5)"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.full((2, 2), 3.0), "0 to 1"),
        (np.full((2, 2), np.nan), "0 to 1"),
        (np.full((2, 2), 300, np.int32), "must hold 0 to 255"),
        (np.zeros((2, 2), object), "object"),
        ("", "path is empty"),
        ("https://example.org/a.png", "not fetched"),
        ("HTTP://169.254.169.254/latest", "not fetched"),
        ("file:///etc/passwd", "not fetched"),
        ("data:image/png;base64,AAAA", "not fetched"),
        ("no such file.png", "no file 'no such file.png'"),
        ("a\0b.png", "no file"),
        ("x" * 5000, "cannot be read"),
        ("/dev/zero", "not a regular file"),
        ("/", "folder"),
    ],
)
def test_what_is_not_a_picture_is_named_in_a_sentence(source, says):
    with pytest.raises(InputError) as caught:
        open_image(source)
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_a_truncated_file_is_called_damaged_or_unreadable(format_, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), format_)
    with pytest.raises(InputError, match="damaged or cut off|not a picture"):
        open_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("format_", ["PPM", "PCX", "TGA", "ICO", "EPS", "JPEG2000", "AVIF"])
def test_formats_off_the_list_are_refused(format_):
    try:
        data = encoded(red_over_blue((16, 16)), format_)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {format_}")
    with pytest.raises(InputError, match="PNG, JPEG, WebP, GIF, BMP or TIFF"):
        open_image(data)


def test_a_wrong_extension_does_not_matter(tmp_path):
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(red_over_blue()))
    assert open_image(path).size == (4, 6)


@pytest.mark.parametrize("side", [8_000, 20_000, 65_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match="megapixels"):
        open_image(png_claiming(side, side))


def test_a_lazily_opened_bomb_is_refused_before_it_is_decoded(monkeypatch):
    lazy = Image.open(io.BytesIO(png_claiming(8000, 8000)))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match="8000 × 8000 = 64 megapixels; at most 40"):
        open_image(lazy)


def test_a_thread_of_pixels_is_refused_with_its_ratio():
    with pytest.raises(InputError, match="20000 × 10 pixels, one side 2000 times the other"):
        open_image(encoded(Image.new("RGB", (20_000, 10))))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
@pytest.mark.slow
def test_a_bomb_in_a_png_text_or_profile_chunk_is_harmless(kind):
    flood = zlib.compress(b"A" * 100_000_000, 9)
    head = {b"zTXt": b"k\0\0", b"iCCP": b"k\0\0", b"iTXt": b"k\0\x01\0\0\0"}[kind]
    body = encoded(red_over_blue())
    data = body[:33] + png_chunk(kind, head + flood) + body[33:]
    assert outcome(data) in ("RGB", "damaged")


def test_a_foreign_colour_profile_is_ignored():
    plain = encoded(red_over_blue())
    profiled = encoded(red_over_blue(), icc_profile=b"\xff" * 5000)
    assert (np.asarray(open_image(plain)) == np.asarray(open_image(profiled))).all()


def test_pixels_of_32_bits_are_refused_because_their_range_is_unknown():
    for mode in ("F", "I"):
        with pytest.raises(InputError, match=f"mode {mode}"):
            open_image(encoded(Image.new(mode, (4, 4)), "TIFF"))


def test_a_file_over_the_limit_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES * 500)
    with pytest.raises(InputError, match="'big.png' is over 20 MB"):
        open_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="not a regular file"):
        open_image(tmp_path / "pipe.png")


def test_a_hostile_file_name_is_quoted_and_shortened(tmp_path):
    name = "<script>alert(1)</script>\n".replace("/", "_") + "x" * 100
    with pytest.raises(InputError) as caught:
        open_image(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


SEEDS = [
    encoded(red_over_blue((24, 24)), format_, **options)
    for format_, options in (
        ("PNG", {}),
        ("JPEG", {"exif": Image.Exif()}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {}),
    )
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, len(SEEDS) - 1), seed=st.integers(0, 2**32 - 1))
def test_flipped_bytes_give_a_picture_or_a_sentence(which, seed):
    chance, data = random.Random(seed), bytearray(SEEDS[which])
    for _ in range(chance.randint(1, 12)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    assert outcome(bytes(data)) in ("RGB", "damaged", "refused")


# -- large ones take little memory -----------------------------------------------------------------


def noise_of(mode, size=(61, 47)):
    """A picture whose sides no factor divides."""
    channels = {"RGB": 3, "RGBA": 4, "L": 1, "P": 3}[mode]
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels.squeeze()).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("band", [1, 7, 240])
def test_bands_give_the_pixels_of_the_whole(mode, band, monkeypatch):
    monkeypatch.setattr("tokviz.images.BAND", band)
    given = noise_of(mode)
    whole = given.convert("RGB")
    if mode == "RGBA":
        whole = Image.alpha_composite(Image.new("RGBA", given.size, "white"), given).convert("RGB")
    data = encoded(given)
    assert (np.asarray(open_image(data)) == np.asarray(whole)).all()
    third = open_image(data, 61 * 47 // 7)
    assert third.size == (21, 16)
    assert third.info == {"full_size": (61, 47)}
    assert (np.asarray(third) == np.asarray(whole.reduce(3))).all()


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("most", [1, 100, 611, 612, 10**6])
def test_a_picture_that_is_scaled_down_has_at_most_so_many_pixels(format_, most):
    picture = open_image(encoded(red_over_blue((36, 17)), format_), most)
    assert picture.width * picture.height <= most
    assert bool(picture.info) == (most < 36 * 17)


def test_a_turned_picture_is_scaled_down_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = open_image(encoded(red_over_blue((40, 20)), "JPEG", exif=exif), 200)
    assert (picture.size, picture.info["full_size"]) == ((10, 20), (20, 40))
    assert not picture.getexif()


# -- previews --------------------------------------------------------------------------------------


def test_a_preview_fits_its_side_and_keeps_the_shape():
    preview = Image.open(io.BytesIO(preview_jpeg(Image.new("RGB", (3000, 1500)))))
    assert (preview.format, preview.size) == ("JPEG", (1024, 512))


def test_a_small_picture_is_not_blown_up():
    assert Image.open(io.BytesIO(preview_jpeg(Image.new("RGB", (30, 20))))).size == (30, 20)


def test_a_letterboxed_picture_is_square_and_whole():
    wide = letterboxed(red_over_blue((40, 10)))
    assert wide.size == (40, 40)
    assert wide.getpixel((20, 2)) == LETTERBOX_GREY
    assert wide.getpixel((20, 16)) == RED
    assert wide.getpixel((20, 23)) == BLUE
    square = red_over_blue((8, 8))
    assert letterboxed(square) is square


def test_a_long_picture_is_not_blown_up_by_its_bars():
    assert letterboxed(Image.new("RGB", (9000, 1))).size == (LETTERBOX_SIDE, LETTERBOX_SIDE)
