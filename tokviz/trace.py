"""The frozen record of one run: what was asked, what was answered, what was captured on the way.

Saved as one `.safetensors` file with a JSON header, never a pickle. SCHEMA is the format: it names
every array with its axes; checking, reading and the documentation follow from it. Everything but
the answer and the layout is optional; an analysis says which array it needs. This module, `matrix`
and `layout` need only numpy and safetensors, so that any other code can write a trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tokviz import trace_io
from tokviz.errors import MissingSignal, TraceError
from tokviz.layout import KINDS, Layout, Tile
from tokviz.matrix import Reduction
from tokviz.schema import (
    BLOCKS,
    CONTROLS,
    MODALITIES,
    PROMPT_INDICES,
    SCHEMA,
    STAGE_ARRAYS,
    STAGE_SCORE,
)

MAX_TEXT = 200_000
Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class StageRecord:
    """One stage of token reduction that was carried out."""

    method: str
    place: str
    layer: int | None
    reduction: Reduction
    seconds: float = 0.0
    "Time of the decision alone."
    effect: str = "remove"
    "What happened to the tokens left out; only remove and restart take them away for good."

    @property
    def removes(self) -> bool:
        """True when later stages see only what this one left."""
        return self.effect in ("remove", "restart")


@dataclass(frozen=True)
class MitigationRecord:
    """What was done to attention or logits in a run, besides removing tokens."""

    name: str
    options: Mapping[str, Scalar]
    kinds: tuple[str, ...]
    "attention, contrast, diagnostic."
    verified: bool = True
    "False: a stand-in for the published method."
    told: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    "Numbers, and lists of one number per answer token, that it measured on the way."


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One run. Arrays by name as in SCHEMA, everything else as plain fields."""

    prompt: str
    answer: str
    model: Mapping[str, Any]
    "name, family, layers, heads, tower_layers, dtype, device, has_cls, positions ..."
    layout: Layout
    prompt_tokens: tuple[str, ...]
    answer_tokens: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    candidate_tokens: tuple[tuple[str, ...], ...] = ()
    words: Mapping[int, str] = field(default_factory=dict)
    "Text of token ids that arrays name, such as those of the logit lens."
    stages: tuple[StageRecord, ...] = ()
    images: tuple[bytes, ...] = ()
    "JPEG previews of the original images, at most 1024 px."
    timings: Mapping[str, float] = field(default_factory=dict)
    "Seconds: encode, decide, prefill, decode, first_token, total; contrast = a second run's."
    kv_bytes: int = 0
    kv_lengths: tuple[int, ...] = ()
    "Rows in the cache of each decoder layer at the end."
    notes: tuple[str, ...] = ()
    mitigation: MitigationRecord | None = None
    "Edit of attention or logits, None for plain decoding."

    def __post_init__(self) -> None:
        """Check every array against SCHEMA; raise TraceError."""
        check_arrays(self)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            what = SCHEMA[name].meaning if name in SCHEMA else "unknown"
            raise MissingSignal(f"this trace does not hold {name!r} ({what})")
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __repr__(self) -> str:
        """Return one line; arrays and pictures would fill the screen."""
        left = f", {self.reduction.m} left" if self.stages else ""
        said = f"{self.prompt[:60]!r} -> {self.answer[:60]!r}"
        return f"<Trace {said}, {self.n} visual tokens{left}, {len(self.arrays)} arrays>"

    def _repr_html_(self) -> str:
        """Return the run as Jupyter shows it, with its overlay alive."""
        # the only arrow that points up: notebooks ask the object itself, and only here is it drawn
        return import_module("tokviz.view.notebook").frame(self)

    @property
    def n(self) -> int:
        """Number of visual tokens before any reduction."""
        return self.layout.n

    @property
    def t(self) -> int:
        """Number of answer tokens."""
        return len(self.answer_tokens)

    @cached_property
    def reduction(self) -> Reduction:
        """All stages as one matrix over the original visual tokens.

        Of stages that only mask or go around layers, the last one counts.
        """
        whole = Reduction.identity(self.n)
        for stage in self.stages:
            whole = whole.then(stage.reduction) if stage.removes else whole
        if self.stages and not self.stages[-1].removes:
            whole = whole.then(self.stages[-1].reduction)
        return whole

    @cached_property
    def went_at(self) -> np.ndarray:
        """int16 [n], the stage after which a token no longer stood alone; -1 = it still does."""
        went = np.full(self.n, -1, np.int16)
        whole = Reduction.identity(self.n)
        for number, stage in enumerate(self.stages):
            after = whole.then(stage.reduction)
            went[(after.fate != 0) & (went < 0)] = number
            whole = after if stage.removes else whole
        return went

    def save(self, path: str | Path) -> None:
        """Write the trace to one .safetensors file; a half-written file never takes its place."""
        trace_io.write_whole(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        arrays = dict(self.arrays)
        for i, jpeg in enumerate(self.images):
            arrays[f"image.{i}"] = np.frombuffer(jpeg, np.uint8)
        for i, stage in enumerate(self.stages):
            for name, spec in STAGE_ARRAYS.items():
                arrays[f"stage.{i}.{name}"] = getattr(stage.reduction, name).astype(spec.dtype)
            if stage.reduction.score is not None:
                arrays[f"stage.{i}.score"] = stage.reduction.score.astype(STAGE_SCORE.dtype)
        return trace_io.pack(_header(self), arrays)


def _header(trace: Trace) -> dict[str, Any]:
    return {
        "prompt": trace.prompt,
        "answer": trace.answer,
        "model": dict(trace.model),
        "prompt_tokens": trace.prompt_tokens,
        "answer_tokens": trace.answer_tokens,
        "candidate_tokens": trace.candidate_tokens,
        "words": {str(token): text for token, text in trace.words.items()},
        "sizes": trace.layout.sizes,
        "tiles": [[t.image, t.rows, t.cols, t.box, t.role] for t in trace.layout.tiles],
        "stages": [
            [s.method, s.place, s.layer, s.reduction.n, s.seconds, s.effect] for s in trace.stages
        ],
        "roles": [
            {name: tokens.tolist() for name, tokens in s.reduction.roles.items()}
            for s in trace.stages
        ],
        "timings": dict(trace.timings),
        "kv_bytes": trace.kv_bytes,
        "kv_lengths": trace.kv_lengths,
        "notes": trace.notes,
        "mitigation": asdict(trace.mitigation) if trace.mitigation else None,
    }


def layout_arrays(layout: Layout) -> dict[str, np.ndarray]:
    """Return the arrays of SCHEMA that describe a layout."""
    return {
        "token_tile": layout.tile.astype(np.int16),
        "token_row": layout.row.astype(np.int16),
        "token_col": layout.col.astype(np.int16),
        "token_kind": layout.kind.astype(np.uint8),
        "token_position": layout.position.astype(np.int32),
    }


def check_arrays(trace: Trace) -> None:
    """Raise TraceError unless every array fits SCHEMA, the layout and the others."""
    lengths = {
        "n": trace.layout.n,
        "t": len(trace.answer_tokens),
        "s": len(trace.prompt_tokens),
        "q": len(trace.prompt_tokens) + max(len(trace.answer_tokens) - 1, 0),
        "b": len(BLOCKS),
        "x": len(CONTROLS),
        "m": len(MODALITIES),
    }
    for name, array in trace.arrays.items():
        spec = SCHEMA.get(name)
        if spec is None:
            raise TraceError(f"a trace has no array {name[:60]!r}.")
        if np.dtype(spec.dtype) != array.dtype:
            raise TraceError(f"{name} must be {np.dtype(spec.dtype)}, got {array.dtype}.")
        letters = spec.axes.split()
        if array.ndim != len(letters):
            raise TraceError(f"{name} must have axes [{spec.axes}], got {array.shape}.")
        for letter, length in zip(letters, array.shape, strict=True):
            if lengths.setdefault(letter, length) != length:
                raise TraceError(
                    f"{name} has {length} along {letter!r}, other parts have {lengths[letter]}."
                )
    for name in PROMPT_INDICES:
        rows = trace.arrays.get(name, np.zeros(0, np.int32))
        if rows.size and (rows.min() < 0 or rows.max() >= lengths["s"]):
            raise TraceError(f"{name} points outside the {lengths['s']} tokens of the prompt.")
    alive = trace.layout.n
    for stage in trace.stages:
        if stage.reduction.n != alive:
            raise TraceError(f"a stage takes {stage.reduction.n} tokens, but {alive} were left.")
        alive = stage.reduction.m if stage.removes else alive


def open_trace(source: str | Path | bytes) -> Trace:
    """Read a trace from a path or from bytes, trusting nothing in it.

    Raises:
        TraceError: not a trace, damaged, of another version, too large, or inconsistent.
    """
    try:
        read = trace_io.unpack if isinstance(source, bytes) else trace_io.read
        return _build(*read(source))  # type: ignore[arg-type]
    except TraceError:
        raise
    except trace_io.BadTrace as error:
        raise TraceError(str(error)) from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
        MemoryError,
    ) as error:
        raise TraceError(f"the trace is damaged ({type(error).__name__}).") from error
    except Exception as error:
        if type(error).__module__.startswith("tokviz"):
            raise TraceError(f"the trace contradicts itself: {error}") from error
        raise


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TraceError("a list of texts is expected where the trace has one text.")
    return tuple(_text(v) for v in values)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TraceError("a text in the trace is missing, too long or not a text.")
    return value


def _build(header: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> Trace:
    named = {name: a for name, a in arrays.items() if name in SCHEMA}
    images = [arrays[f"image.{i}"].tobytes() for i in range(len(header["sizes"]))
              if f"image.{i}" in arrays]  # fmt: skip
    layout = Layout(
        sizes=tuple((_length(w), _length(h)) for w, h in header["sizes"]),
        tiles=tuple(_tile(t, len(header["sizes"])) for t in header["tiles"]),
        tile=named["token_tile"],
        row=named["token_row"],
        col=named["token_col"],
        kind=named["token_kind"],
        position=named["token_position"],
    )
    _check_layout(layout)
    return Trace(
        prompt=_text(header["prompt"]),
        answer=_text(header["answer"]),
        model={_text(k): v for k, v in header["model"].items()},
        layout=layout,
        prompt_tokens=_texts(header["prompt_tokens"]),
        answer_tokens=_texts(header["answer_tokens"]),
        arrays=named,
        candidate_tokens=tuple(_texts(c) for c in header["candidate_tokens"]),
        words={int(token): _text(text) for token, text in header.get("words", {}).items()},
        stages=_stages(header, arrays),
        images=tuple(images),
        timings={_text(k): float(v) for k, v in header["timings"].items()},
        kv_bytes=int(header["kv_bytes"]),
        kv_lengths=tuple(int(k) for k in header["kv_lengths"]),
        notes=_texts(header["notes"]),
        mitigation=_mitigation(header.get("mitigation")),
    )


def _mitigation(entry: Mapping[str, Any] | None) -> MitigationRecord | None:
    if entry is None:
        return None
    told = {
        _text(name): [_scalar(v) for v in value] if isinstance(value, list) else _scalar(value)
        for name, value in entry["told"].items()
    }
    options = {_text(name): _scalar(value) for name, value in entry["options"].items()}
    kinds = _texts(entry["kinds"])
    return MitigationRecord(_text(entry["name"]), options, kinds, bool(entry["verified"]), told)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not np.isfinite(value):
        raise TraceError("a number of the mitigation in the trace is not finite.")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _text(value)


def _length(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise TraceError("an image size in the trace is out of range.")
    return value


def _tile(entry: Sequence[Any], images: int) -> Tile:
    image, rows, cols, box, role = entry
    x0, y0, x1, y1 = (float(v) for v in box)
    if not (0 <= image < images and x0 < x1 and y0 < y1 and np.isfinite([x0, y0, x1, y1]).all()):
        raise TraceError("a tile in the trace lies nowhere.")
    return Tile(int(image), _length(rows), _length(cols), (x0, y0, x1, y1), _text(role))


def _stages(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[StageRecord, ...]:
    entries = header["stages"]
    roles = header.get("roles") or [{}] * len(entries)
    return tuple(
        _stage(number, entry, named, arrays)
        for number, (entry, named) in enumerate(zip(entries, roles, strict=True))
    )


def _stage(
    number: int, entry: Sequence[Any], named: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> StageRecord:
    method, place, layer, n, seconds, effect = entry
    rows, cols, weights, position = (arrays[f"stage.{number}.{name}"] for name in STAGE_ARRAYS)
    score = arrays.get(f"stage.{number}.score")
    if score is not None and score.shape != (int(n),):
        raise TraceError(f"a stage that decides on {n} tokens has scores for {score.size}.")
    roles = {_text(name): _members(tokens, int(n)) for name, tokens in named.items()}
    reduction = Reduction.from_entries(
        rows, cols, weights, int(n), len(position), position, score=score, roles=roles
    )
    where = None if layer is None else int(layer)
    return StageRecord(_text(method), _text(place), where, reduction, float(seconds), _text(effect))


def _members(tokens: Sequence[Any], n: int) -> np.ndarray:
    if not all(type(token) is int and 0 <= token < n for token in tokens):
        raise TraceError(f"a method's name for tokens points outside the {n} that it decided on.")
    return np.array(tokens, np.int64)


def _check_layout(layout: Layout) -> None:
    same = {len(a) for a in (layout.tile, layout.row, layout.col, layout.kind, layout.position)}
    if len(same) != 1:
        raise TraceError("the layout's arrays differ in length.")
    if not layout.n:
        return
    if layout.tile.min() < 0 or layout.tile.max() >= len(layout.tiles):
        raise TraceError("a visual token belongs to no tile.")
    rows = np.array([t.rows for t in layout.tiles])[layout.tile]
    cols = np.array([t.cols for t in layout.tiles])[layout.tile]
    patch = layout.kind == 0
    inside = (layout.row >= 0) & (layout.row < rows) & (layout.col >= 0) & (layout.col < cols)
    if layout.kind.max() >= len(KINDS) or not inside[patch].all():
        raise TraceError("a visual token lies outside its tile's grid.")
