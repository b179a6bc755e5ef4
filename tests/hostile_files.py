"""Files as a stranger would make them: pictures that are none or too much, traces that lie."""

import io
import json
import random
import struct
import zlib

import numpy as np
from PIL import Image

from tests.fakes import six_token_layout, two_kept_two_merged_two_pruned
from tests.view.fakes import fake_trace, merged, pruned, stage, tiled_trace
from tokviz.matrix import Reduction
from tokviz.trace import Trace
from tokviz.trace.stages import MitigationRecord, StageRecord
from tokviz.trace.to_file import layout_arrays


def parts_of(data):
    """Return the outer header, the trace's header and the arrays' bytes."""
    length = int.from_bytes(data[:8], "little")
    outer = json.loads(data[8 : 8 + length])
    return outer, json.loads(outer["__metadata__"]["header"]), data[8 + length :]


def with_header(data, header):
    """Return the file with another header, unchecked; NaN and long numbers are written as such."""
    outer, _, body = parts_of(data)
    outer["__metadata__"]["header"] = json.dumps(header)
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def changed(data, **fields):
    """Return the file with some fields of its header replaced."""
    return with_header(data, parts_of(data)[1] | fields)


def with_arrays(data, count, shape=(0,)):
    """Return the file with so many more arrays that hold nothing."""
    outer, _, body = parts_of(data)
    empty = {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 0]}
    outer |= {f"x{i}": empty for i in range(count)}
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def places(value, most=2):
    """Yield the path of every number in a header; of lists of one kind the first ones."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        alike = len(value) > 4 and all(type(inner) is type(value[0]) for inner in value)
        items = list(enumerate(value))[: most if alike else None]
    else:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield ()
        return
    for name, inner in items:
        yield from ((name, *path) for path in places(inner, most))


def put(value, path, new):
    """Return a copy of a header with another value at a path."""
    copied = json.loads(json.dumps(value))
    inner = copied
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = new
    return copied


def steps_trace():
    """A mitigated run with two stages, roles, scores and numbers of every step."""
    layout, first = six_token_layout(), two_kept_two_merged_two_pruned()
    named = Reduction.select([0, 2], 3, score=np.arange(3), roles={"anchor": [0]})
    return Trace(
        prompt="is there a dog ?", answer="yes .",
        model={"name": "toy", "layers": 2, "heads": 2, "hidden_size": 8, "tower_layers": 3,
               "feature_layer": 1, "positions": ["keep"], "prefill_share": {"whole_prompt": 0.5},
               "without_attention": {"linear attention": [0]}, "last_row_only": [1]},
        layout=layout, prompt_tokens=tuple("abcdefgh"), answer_tokens=("yes", " ."),
        arrays=layout_arrays(layout)
        | {"attention": np.ones((2, 2, 6), np.float16), "sink_phi": np.ones((2, 8), np.float16)},
        words={7: "seven"},
        stages=(StageRecord("visionzip", "before", None, first, 0.01),
                StageRecord("aim_mask", "language_model", 1, named, 0.02, "mask")),
        timings={"prefill": 0.5, "total": 1.5}, kv_bytes=7, kv_lengths=(4, 4),
        mitigation=MitigationRecord("vcd", {"alpha": 0.5}, ("contrast",), True,
                                    {"mean": 0.5, "steps": [1, 2]}),
    )  # fmt: skip


def kinds():
    """Return traces of every kind by name: whole, pruned, merged, tiled, with steps."""
    return {
        "whole": fake_trace().to_bytes(),
        "pruned": fake_trace(6, 6, stages=(stage(pruned(36, 9)),)).to_bytes(),
        "merged": fake_trace(stages=(stage(merged(6, 2)),)).to_bytes(),
        "tiles": tiled_trace().to_bytes(),
        "steps": steps_trace().to_bytes(),
    }


def encoded(image, form="PNG", **options):
    """Return a picture as a file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(kind, body):
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def claiming(width, height):
    """Return a PNG file that claims a size which its data has not."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    flood = chunk(b"IDAT", zlib.compress(bytes(10**7)))
    return b"\x89PNG\r\n\x1a\n" + head + flood + chunk(b"IEND", b"")


def pictures():
    """Return hostile pictures: cut off, bombs, other formats, odd modes, loops, bytes flipped."""
    image = Image.effect_noise((64, 48), 90).convert("RGB")
    whole = {form: encoded(image, form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")}
    png, found = whole["PNG"], [data[: len(data) // 2] for data in whole.values()]
    flood = zlib.compress(b"A" * 20_000_000, 9)
    heads = {b"zTXt": b"k\0\0", b"iCCP": b"k\0\0", b"iTXt": b"k\0\x01\0\0\0"}
    found += [png[:33] + chunk(kind, head + flood) + png[33:] for kind, head in heads.items()]
    found += [claiming(size, size) for size in (6000, 40_000, 2**31 - 1)]
    found += [encoded(Image.new("1", (20_000, 20_000))), encoded(Image.new("L", (20_000, 3)))]
    frames = [Image.new("L", (800, 800), i) for i in range(40)]
    found += [encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])]
    modes = (("I;16", "PNG"), ("CMYK", "JPEG"), ("F", "TIFF"), ("LA", "PNG"), ("P", "GIF"))
    found += [encoded(Image.new(mode, (32, 32)), form) for mode, form in modes]
    looping = bytearray(whole["TIFF"])
    first = struct.unpack("<I", looping[4:8])[0]
    last = first + 2 + 12 * struct.unpack("<H", looping[first : first + 2])[0]
    looping[last : last + 4] = looping[4:8]  # the next directory is this one
    found += [bytes(looping), png + b"PK\x03\x04<script>", b"GIF89a" + png, b"%PDF-1.7 " + png]
    found += [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"",
        b"\0" * 999,
        b"\xff\xd8\xff\xe1\xff",
    ]
    chance = random.Random(0)
    for _ in range(20):
        data = bytearray(chance.choice(list(whole.values())))
        for _ in range(9):
            data[chance.randrange(len(data))] = chance.randrange(256)
        found.append(bytes(data))
    return found


def traces():
    """Return hostile traces: cut off, empty arrays, half letters, numbers that claim too much."""
    found = []
    for data in kinds().values():
        found += [data[: len(data) // 2], with_arrays(data, 2000), changed(data, prompt="\ud800")]
        header = parts_of(data)[1]
        for number, path in enumerate(places(header, 1)):
            value = (10**6, 2**31, 10**300, -1, float("nan"))[number % 5]
            found.append(with_header(data, put(header, path, value)))
    return found
