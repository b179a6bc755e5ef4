"""Thousands of damaged files and strange prompts: each is used or refused in a sentence, quickly.

What is damaged is drawn from a fixed seed, so a failure comes back; its number is in the message.
"""

import io
import random
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tests.view.fakes import fake_trace, merged, stage
from tokviz.errors import InputError, TraceError
from tokviz.images import open_image
from tokviz.prompts import MAX_PROMPT, check_prompt
from tokviz.trace import open_trace

PICTURES, TRACES, PROMPTS = 7000, 3000, 1000
MOST_BYTES = 300 * 2**20
"""Python memory that one file may take, however it is damaged."""


def seeds():
    """One small picture per format and kind of pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)
    rgb = Image.fromarray(noise)
    for form, mode in [
        ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "RGB"),
        ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"),
        ("TIFF", "1"),
    ]:  # fmt: skip
        out = io.BytesIO()
        picture = rgb.convert("L").convert("I;16") if mode == "I;16" else rgb.convert(mode)
        picture.save(out, form)
        yield out.getvalue()


def damaged(data, rng):
    """Return the bytes with some of them changed, cut out, doubled or made extreme."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(max(len(data), 1))
        way = rng.randrange(5)
        if way == 0 and data:
            data[at] = rng.randrange(256)
        elif way == 1:
            del data[at : at + rng.randrange(1, 40)]
        elif way == 2:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
        elif way == 3:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        else:
            data = data[:at]
        if not data:
            break
    return bytes(data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_picture_is_a_picture_or_a_sentence():
    sound = list(seeds())
    rng = random.Random(1)
    opened, refused = 0, []
    for number in range(PICTURES):
        data = damaged(sound[number % len(sound)], rng)
        try:
            picture = open_image(data)
            assert picture.mode == "RGB", number
            opened += 1
        except InputError as error:
            refused.append(str(error))
    assert opened > 100
    assert len(refused) > 1000
    assert all(10 < len(text) < 400 for text in refused)


@pytest.mark.slow
def test_a_damaged_trace_is_a_trace_or_a_sentence():
    sound = fake_trace(stages=(stage(merged(6, 2)),)).to_bytes()
    rng = random.Random(2)
    length = int.from_bytes(sound[:8], "little")
    refused = []
    tracemalloc.start()
    for number in range(TRACES):
        head, body = sound[: 8 + length], sound[8 + length :]
        data = damaged(head, rng) + body if number % 2 else damaged(sound, rng)
        try:
            open_trace(data)
        except TraceError as error:
            refused.append(str(error))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(refused) > TRACES // 2
    assert max(map(len, refused)) < 400
    assert most < MOST_BYTES


ALPHABET = "aZ ?\n\t\x00\x1b<>&\"'`|\\/{}\u202e\u200d\ufeffé漢😀\ud800"
PIECES = ("<image>", "<|im_end|>", "<script>alert(1)</script>", "USER:", "ASSISTANT:", "</s>")


def test_a_strange_prompt_is_text_or_a_sentence():
    rng = random.Random(3)
    kept, refused = 0, []
    for number in range(PROMPTS):
        parts = [rng.choice(ALPHABET) for _ in range(rng.choice((0, 1, 5, 60, 9000)))]
        if number % 3 == 0:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(PIECES))
        text = "".join(parts)
        try:
            clean = check_prompt(text)
        except InputError as error:
            refused.append(str(error))
            continue
        kept += 1
        assert 0 < len(clean) <= MAX_PROMPT
        assert "\x00" not in clean
        assert "<image>" not in clean
    assert kept > 50
    assert max(map(len, refused)) < 300
