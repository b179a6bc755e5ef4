"""Imports decisions of other methods (kept or merged tokens) from JSON or npz files.

Trained methods (ATP-LLaVA, CoViPAL, VoCo-LLaMA, TokenPacker, p-MoD ...) cannot run here, but their
decisions can be written to a file and imported:

    {"method": "ATP-LLaVA", "n": 576, "stages": [{"layer": 8, "kept": [0, 3, ...]}, ...]}
    {"method": "TokenPacker", "n": 576, "groups": [[0, 1, 24, 25], ...]}
    {"method": "VoCo-LLaMA", "n": 576, "rows": [...], "cols": [...], "weights": [...],
     "position": [...]}

An npz file has the same names as arrays; its stages are `stages.0.kept`, `stages.0.layer` and so
on, and its groups one array `group` [n], the group of each token, -1 = pruned. In every stage
tokens have the numbers of the whole image. docs/imports.md has every field. Every value of a file
is checked before it is used.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokviz.errors import InputError, TokvizError, TraceError
from tokviz.git_lfs import is_pointer, pointer_text
from tokviz.images import open_image, preview_jpeg
from tokviz.matrix import Reduction
from tokviz.trace import Trace, open_trace, trace_io
from tokviz.trace.decision_stages import WAYS, numbers, over_alive, whole_number
from tokviz.trace.header import check_products
from tokviz.trace.limits import MAX_STAGE_CELLS

MAX_FILE_BYTES = 32 * 2**20
MAX_TOKENS = 100_000
MAX_VALUES = 2_500_000
"""Largest number of values in a JSON file; an npz file may have more."""
MAX_STAGES = 256
MAX_NAME = 80
ARRAYS = ("kept", "group", "rows", "cols", "weights", "position", "score")


@dataclass(frozen=True, eq=False)
class ImportedStage:
    """One stage of an imported decision."""

    reduction: Reduction
    "Of the tokens that earlier stages left."
    layer: int | None = None
    "Layer of the language model; None = before it."


@dataclass(frozen=True, eq=False)
class Imported:
    """The decisions of another method on one image."""

    method: str
    stages: tuple[ImportedStage, ...]
    grid: tuple[int, int] | None = None
    prompt: str = ""
    answer: str = ""

    @property
    def n(self) -> int:
        """Visual tokens before any stage."""
        return self.stages[0].reduction.n

    @property
    def reduction(self) -> Reduction:
        """All stages as one matrix; `tokviz.plans.chosen` makes a plan of it, which can be run."""
        whole = Reduction.identity(self.n)
        for stage in self.stages:
            whole = whole.then(stage.reduction)
        return whole

    def trace(self, image: Any, prompt: str = "", answer: str = "") -> Trace:
        """Return a trace that shows the decisions on their image; no model runs.

        Args:
            image: path, bytes, PIL image or array.
            prompt: instead of the file's.
            answer: instead of the file's.

        Raises:
            InputError: the image cannot be used, or the grid is not known.
        """
        picture = open_image(image)
        header, arrays = trace_io.start(
            prompt=prompt or self.prompt or "(no question was given)",
            answer=answer or self.answer,
            image_size=picture.size,
            grid=self.grid or square(self.n),
            jpeg=preview_jpeg(picture),
            model="",
        )
        header["model"]["imported"] = self.method
        header["notes"] = ["Imported decisions: nothing was run here, and nothing was measured."]
        for number, stage in enumerate(self.stages):
            done, layer = stage.reduction, stage.layer
            place = "before" if layer is None else "language_model"
            header["stages"].append([self.method, place, layer, done.n, 0.0, "remove"])
            for name, dtype in (("rows", "i4"), ("cols", "i4"), ("weights", "f4"),
                                ("position", "i4")):  # fmt: skip
                arrays[f"stage.{number}.{name}"] = getattr(done, name).astype(dtype)
        return open_trace(trace_io.pack(header, arrays))


def is_decisions(path: str | Path) -> bool:
    """Return whether a file looks like decisions (JSON or npz) and not like a trace.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
            size = file.seek(0, 2)
    except (OSError, ValueError) as error:
        raise InputError(f"the file {str(path)[:200]!r} cannot be read.") from error
    # a trace begins with the length of its header, 8 bytes; as text they would be a huge number
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return False
    return head[:4] == b"PK\x03\x04" or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def read_decisions(source: str | Path | bytes) -> Imported:
    """Read a JSON or npz file with the decisions of a method on one image.

    Raises:
        InputError: the file is too large, damaged or inconsistent; the message says where.
    """
    data = source if isinstance(source, bytes) else _bytes(Path(source))
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"the file is over {MAX_FILE_BYTES >> 20} MB.")
    if is_pointer(data):
        raise InputError(f"{pointer_text('this')}.")
    fields = _npz(data) if data[:4] == b"PK\x03\x04" else _json(data)
    try:
        return _imported(fields)
    except TokvizError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, AttributeError) as error:
        raise InputError(f"the decisions cannot be read ({type(error).__name__}).") from error


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"the file is over {MAX_FILE_BYTES >> 20} MB.")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"the file {str(path)[:200]!r} cannot be read.") from error


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        fields = trace_io.parse(data, MAX_VALUES)
    except trace_io.BadTrace as error:
        raise InputError(
            f"decisions come as one JSON object or as an npz file; this is neither: {error}"
        ) from error
    if not isinstance(fields, dict):
        raise InputError(f"the file must hold one JSON object, got {type(fields).__name__}.")
    return fields


def _npz(data: bytes) -> Mapping[str, Any]:
    """Return the arrays of an npz file by the names of the JSON form; no pickles, size checked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_FILE_BYTES:
                raise InputError(f"the npz file unpacks to over {MAX_FILE_BYTES >> 20} MB.")
            if len(archive.infolist()) > MAX_STAGES * (len(ARRAYS) + 1):
                raise InputError("the npz file has far too many arrays.")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, SyntaxError, zipfile.BadZipFile,
            NotImplementedError, RuntimeError, MemoryError, TypeError, AttributeError,
            OverflowError, struct.error, zlib.error, lzma.LZMAError,
            tokenize.TokenError) as error:  # fmt: skip
        raise InputError(
            "this is not a tokviz trace: it begins as decisions in an npz file do, but the "
            f"npz file is damaged ({type(error).__name__}): save it again."
        ) from error
    fields: dict[str, Any] = {}
    stages: dict[int, dict[str, Any]] = {}
    for name, array in arrays.items():
        value = array.item() if array.ndim == 0 else array
        staged = re.fullmatch(r"stages\.([0-9]{1,3})\.(\w+)", name)
        (stages.setdefault(int(staged[1]), {}) if staged else fields)[
            staged[2] if staged else name
        ] = value
    return fields | ({"stages": [stages[i] for i in sorted(stages)]} if stages else {})


def _imported(fields: Mapping[str, Any]) -> Imported:
    n = whole_number(fields.get("n"), "n", 1, MAX_TOKENS)
    listed = fields.get("stages", [fields])
    if not isinstance(listed, Sequence) or not 1 <= len(listed) <= MAX_STAGES:
        raise InputError(f"stages must be a list of 1 to {MAX_STAGES} objects.")
    if len(listed) * n > MAX_STAGE_CELLS:
        raise InputError(f"{len(listed)} stages on {n:,} visual tokens are too many to show.")
    alive, stages = np.arange(n), []
    for number, entry in enumerate(listed):
        if not isinstance(entry, Mapping):
            raise InputError(f"stage {number} is not an object.")
        stage = _stage(entry, alive, n, f"stage {number}")
        stages.append(stage)
        alive = alive[stage.reduction.position]
    try:
        check_products([stage.reduction for stage in stages], [True] * len(stages), n)
    except TraceError as error:
        raise InputError(str(error)) from error
    return Imported(
        _text(fields.get("method", "imported"), "method")[:MAX_NAME],
        tuple(stages),
        _grid(fields.get("grid"), n),
        _text(fields.get("prompt", ""), "prompt"),
        _text(fields.get("answer", ""), "answer"),
    )


def _stage(entry: Mapping[str, Any], alive: np.ndarray, n: int, where: str) -> ImportedStage:
    ways = [way for way in WAYS if entry.get(way) is not None]
    if len(ways) != 1:
        raise InputError(f"{where} must have one of {', '.join(WAYS)}, it has {len(ways)}.")
    layer = entry.get("layer")
    number = (
        None if layer is None or layer == -1 else whole_number(layer, f"{where}: layer", 0, 10_000)
    )
    whole = WAYS[ways[0]](entry, n, where)
    return ImportedStage(over_alive(whole, alive, where), number)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > 8000:
        raise InputError(f"{name} must be a text of at most 8,000 characters.")
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise InputError(f"{name} holds half a character (a lone surrogate).")
    return value


def _grid(value: Any, n: int) -> tuple[int, int] | None:
    if value is None:
        return None
    shape = numbers(value, "grid", integer=True)
    if shape.shape != (2,) or shape.min() < 1 or int(shape[0]) * int(shape[1]) != n:
        raise InputError(f"grid must be [rows, columns] of {n} tokens.")
    return int(shape[0]), int(shape[1])


def square(n: int) -> tuple[int, int]:
    """Return the square grid of n tokens; raise InputError where there is none."""
    side = round(n**0.5)
    if side * side != n:
        raise InputError(f"{n} tokens form no square: give the grid as [rows, columns].")
    return side, side
