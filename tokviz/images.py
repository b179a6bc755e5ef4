"""Opens pictures from untrusted sources: checks them and returns plain RGB images.

Every source goes through `open_image`. The result is a plain RGB image or an InputError for the
user. Orientation is applied, transparency becomes white, 16-bit grey is scaled to 8 bits, and an
animation gives its first frame. Colour profiles are not applied, and all metadata (EXIF with places
and names, profiles, comments) is removed. Addresses are not downloaded.

Memory: a decoded picture of 40 megapixels takes 160 MB (Pillow stores RGB in four bytes). The steps
after decoding work on bands of rows, so that only the result is added to this.
"""

from __future__ import annotations

import io
import math
import re
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from tokviz.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_FILE_BYTES = 20 * 2**20
MAX_PIXELS = 40_000_000
MAX_RATIO = 100
"Longest side / shortest side; with a larger ratio a model's resizing would need gigabytes."
LETTERBOX_SIDE = 2048
LETTERBOX_GREY = (122, 116, 104)
"""The mean of CLIP's training pictures, which LLaVA's own code pads with."""
PREVIEW_SIDE = 1024
BAND = 240
"Rows that are made RGB at a time, a multiple of every factor up to 6."

ALLOWED = "PNG, JPEG, WebP, GIF, BMP or TIFF"
FOREIGN: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a PDF document", re.compile(rb"%PDF-")),
    (
        "an SVG drawing or XML",
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:svg|\?xml|!doctype svg)", re.I),
    ),
    ("an HTML page", re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|!--)", re.I)),
    (
        "a HEIC or AVIF picture",
        re.compile(rb".{4}ftyp(?:hei|hev|mif1|msf1|avi[fs]|mia)", re.S),
    ),
    (
        "a video",
        re.compile(rb".{4}(ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF.{4}AVI |\x00{2}\x01[\xb3\xba]", re.S),
    ),
    (
        "a pointer of git-lfs (fetch the picture with `git lfs pull`)",
        re.compile(rb"version https://git-lfs"),
    ),
    ("a PostScript document", re.compile(rb"%!PS")),
    ("a zip archive", re.compile(rb"PK\x03\x04")),
)
"""Other files that people rename to .png, recognised by their first bytes, for the message."""

ORIENTATION_TAG = 0x0112
TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
    RecursionError,
    EOFError,
    struct.error,
)
"""Further exceptions that Pillow's decoders raise on damaged files."""
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

Source = str | Path | bytes | bytearray | memoryview | Image.Image | np.ndarray


def open_image(source: Source, most_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the picture as an 8-bit RGB image, upright, without metadata.

    Args:
        source: path of a file, a file's bytes, a PIL image, a torch tensor [c, h, w], or an array
            [h, w], [h, w, 1], [h, w, 3] or [h, w, 4] of uint8, uint16, bool, or floats from 0 to 1.
        most_pixels: a picture of more is scaled down by a whole number (2, 3 ...) while it is read,
            each pixel the mean of a square, so that the full picture is never in memory as RGB.

    Returns:
        A new image of at most `most_pixels` pixels; the source is not changed. If it was scaled
        down, `info["full_size"]` is its upright size before (width, height).

    Raises:
        InputError: not a picture, damaged, too large, of another format, a URL, or not a file.
    """
    if isinstance(source, Image.Image):
        return _decoded(source, "the image", most_pixels)
    if hasattr(source, "detach") and hasattr(source, "cpu"):  # a tensor; files have detach, too
        source = _channels_last(source.detach().cpu().numpy())
    if isinstance(source, np.ndarray):
        return _decoded(_from_array(source), "the image", most_pixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), "the image", most_pixels)
    if isinstance(source, (str, Path)):
        return _from_path(source, most_pixels)
    if isinstance(source, io.IOBase) and source.readable():
        data = source.read(MAX_FILE_BYTES + 1)
        return _from_bytes(data if isinstance(data, bytes) else b"", "the image", most_pixels)
    given = "nothing" if source is None else type(source).__name__
    raise InputError(f"an image must be a file, bytes, a PIL image or an array, got {given}.")


def preview_jpeg(image: Image.Image, side: int = PREVIEW_SIDE) -> bytes:
    """Return a JPEG of the picture, scaled down so that no side is over `side` pixels."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small.info = {}
    out = io.BytesIO()
    small.save(out, "JPEG", quality=88, optimize=True)
    return out.getvalue()


def letterboxed(image: Image.Image, longest: int = LETTERBOX_SIDE) -> Image.Image:
    """Return a picture in the middle of a grey square, so that no centre crop cuts anything off.

    Args:
        image: any picture; a square one is returned as it is.
        longest: side of the square at most, in pixels: a picture of 10,000 x 10 must not become one
            of 100 megapixels.
    """
    if image.width == image.height:
        return image
    scale = min(1.0, longest / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    side = max(width, height)
    square = Image.new("RGB", (side, side), LETTERBOX_GREY)
    small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    square.paste(small, ((side - width) // 2, (side - height) // 2))
    return square


def _from_path(source: str | Path, most_pixels: int) -> Image.Image:
    text = str(source)
    if re.match(r"[a-z][a-z0-9+.-]+:/|data:", text, re.I):
        raise InputError("addresses are not fetched: save the picture and give its file.")
    if not text:
        raise InputError("the picture's path is empty: give a file.")
    name = f"{(Path(text).name or text)[:80]!r}"
    try:
        path = Path(text)
        if path.is_dir():
            raise InputError(f"{name} is a folder; give one picture in it.")
        if not path.exists():
            raise InputError(f"there is no file {name}.")
        if not path.is_file():
            raise InputError(f"{name} is not a regular file.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({type(error).__name__}).") from error
    return _from_bytes(data, name, most_pixels)


def _from_bytes(data: bytes, name: str, most_pixels: int) -> Image.Image:
    if not data:
        raise InputError(f"{name} is empty (0 bytes): choose another file.")
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name} is over {MAX_FILE_BYTES >> 20} MB; send a smaller file.")
    for what, magic in FOREIGN:
        if magic.match(data):
            raise InputError(f"{name} is {what}, not a picture. Allowed: {ALLOWED}.")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        what = "a text file, not a picture" if _is_text(data) else "not a picture that can be read"
        raise InputError(f"{name} is {what}. Allowed: {ALLOWED}.") from None
    except BOMBS:
        raise InputError(
            f"{name} has over {MAX_PIXELS // 10**6} megapixels: make it smaller."
        ) from None
    except DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    return _decoded(picture, name, most_pixels)


def _is_text(data: bytes) -> bool:
    """Return whether a file's beginning is text: a table, a program, JSON."""
    try:
        start = data[:4096].decode("utf-8", "strict" if len(data) <= 4096 else "ignore")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in start)


def _decoded(picture: Image.Image, name: str, most_pixels: int) -> Image.Image:
    """Decode a picture, after a check of its size."""
    _check_size(*picture.size, name)
    try:
        full_size, factor = picture.size, reduction_factor(picture.size, most_pixels)
        if factor > 1:  # a JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; others ignore it
            width, height = (math.ceil(side / factor) for side in picture.size)
            picture.draft(picture.mode, (width, height))
        picture.load()
        small = _rgb(picture, name, most_pixels)
        rgb = _upright(small, picture)
    except DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    except BOMBS:
        raise InputError(
            f"{name} has over {MAX_PIXELS // 10**6} megapixels: make it smaller."
        ) from None
    upright = full_size if rgb.size == small.size else full_size[::-1]
    rgb.info = {"full_size": upright} if factor > 1 else {}
    return rgb


def _damaged(name: str, error: Exception) -> InputError:
    return InputError(
        f"{name} is damaged or cut off ({type(error).__name__} while decoding). "
        "Open it in an image program and save it again."
    )


def _check_size(width: int, height: int, name: str) -> None:
    if not width or not height:
        raise InputError(f"{name} has no pixels ({width} × {height}): choose another.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} × {height} = {width * height / 1e6:.0f} megapixels; "
            f"at most {MAX_PIXELS // 10**6} are allowed. Scale it down first."
        )
    ratio = max(width, height) / min(width, height)
    if ratio > MAX_RATIO:
        raise InputError(
            f"{name} is {width} × {height} pixels, one side {ratio:.0f} times the other; "
            f"at most {MAX_RATIO} times is allowed. Crop it first."
        )


def reduction_factor(size: tuple[int, int], most_pixels: int) -> int:
    """Return the least whole number by which both sides are divided to have so few pixels."""
    factor = max(1, math.isqrt(size[0] * size[1] // most_pixels))
    while math.prod(math.ceil(side / factor) for side in size) > most_pixels:
        factor += 1
    return factor


def _upright(rgb: Image.Image, picture: Image.Image) -> Image.Image:
    """Apply the EXIF orientation of the picture that was read; a damaged EXIF block is none."""
    try:
        orientation = picture.getexif().get(ORIENTATION_TAG)
    except DECODER_ERRORS:
        return rgb
    turn = TURN.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(picture: Image.Image, name: str, most_pixels: int) -> Image.Image:
    """Return a decoded picture as RGB, scaled down, made band by band."""
    if picture.mode in ("I", "F", "LAB"):
        raise InputError(
            f"{name} has pixels of mode {picture.mode} (32-bit or Lab); "
            "save it as RGB or grey with 8 or 16 bits per channel."
        )
    factor = reduction_factor(picture.size, most_pixels)
    rows = factor * max(1, BAND // factor)
    width, height = picture.size
    rgb = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    for top in range(0, height, rows):
        band = _rgb_band(picture.crop((0, top, width, min(top + rows, height))))
        rgb.paste(band if factor == 1 else band.reduce(factor), (0, top // factor))
    return rgb


def _rgb_band(band: Image.Image) -> Image.Image:
    if band.mode.startswith("I;16"):
        return _grey16(band)
    if band.has_transparency_data:
        white = Image.new("RGBA", band.size, "white")
        return Image.alpha_composite(white, band.convert("RGBA")).convert("RGB")
    return band.convert("RGB")


def _grey16(picture: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion clips everything above 255 to white."""
    return Image.fromarray(_eight_bits(np.asarray(picture))).convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _channels_last(array: np.ndarray) -> np.ndarray:
    """Return a torch picture [c, h, w] or [1, c, h, w] as [h, w, c]; others are unchanged."""
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    channels = (1, 3, 4)
    first = array.ndim == 3 and array.shape[0] in channels and array.shape[2] not in channels
    return array.transpose(1, 2, 0) if first else array


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise InputError(f"an image array must be [h, w], or [h, w, 1, 3 or 4], got {array.shape}.")
    _check_size(array.shape[1], array.shape[0], "the image")
    if array.dtype == np.uint8:
        pixels = array
    elif array.dtype == np.uint16:
        pixels = _eight_bits(array)
    elif array.dtype == bool:
        pixels = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        if not ((array >= 0) & (array <= 1)).all():
            raise InputError("an image array of floats must hold numbers from 0 to 1.")
        pixels = (array * 255).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.integer):
        if not ((array >= 0) & (array <= 255)).all():
            raise InputError("an image array of whole numbers must hold 0 to 255.")
        pixels = array.astype(np.uint8)
    else:
        raise InputError(f"an image array must hold numbers, got {array.dtype}.")
    return Image.fromarray(np.ascontiguousarray(pixels))
