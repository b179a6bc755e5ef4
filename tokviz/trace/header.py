"""Reading the parts of a trace file's header and layout, trusting nothing in them.

Each function takes what the file says and returns what it means, or raises. A value of a wrong kind
may also raise what Python raises for it (KeyError, TypeError ...): `tokviz.trace.open_trace` turns
that into a TraceError, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tokviz.errors import TraceError
from tokviz.matrix import Reduction
from tokviz.trace.layout import KINDS, Layout, Tile
from tokviz.trace.schema import STAGE_ARRAYS
from tokviz.trace.stages import MitigationRecord, Scalar, StageRecord

MAX_TEXT = 200_000
T = TypeVar("T")


def read_field(header: Mapping[str, Any], name: str, read: Callable[[Any], T], *default: Any) -> T:
    """Return what a field of the header means; raise TraceError that names it."""
    if name not in header and not default:
        raise TraceError(f"the header has no {name!r} (docs/trace_format.md lists its fields).")
    try:
        return read(header.get(name, *default))
    except TraceError as error:
        raise TraceError(f"{name!r} in the header: {error}") from error
    except KeyError as error:
        raise TraceError(f"{name!r} needs {str(error)[:60]}, which is not there.") from error
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise TraceError(
            f"{name!r} in the header is not as docs/trace_format.md says: {str(error)[:200]}."
        ) from error


def read_text(value: Any) -> str:
    """Return a text; raise TraceError for anything else, or one that is too long."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TraceError("a text in the trace is missing, too long or not a text.")
    return value


def read_texts(values: Sequence[Any]) -> tuple[str, ...]:
    """Return a list of texts."""
    if isinstance(values, str):
        raise TraceError("a list of texts is expected where the trace has one text.")
    return tuple(read_text(v) for v in values)


def read_choice(known: Sequence[str], value: Any) -> str:
    """Return one of the known names, or "" where nothing is said."""
    if value != "" and value not in known:
        raise TraceError(f"it must be one of {', '.join(known)}, got {str(value)[:40]!r}.")
    return str(value)


def read_indices(values: Sequence[Any]) -> tuple[int, ...]:
    """Return a list of whole numbers."""
    if isinstance(values, str) or not all(type(value) is int for value in values):
        raise TraceError("a list of whole numbers is expected.")
    return tuple(values)


def read_layout(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Layout:
    """Return the layout of the visual tokens; raise TraceError where it contradicts itself."""
    layout = Layout(
        sizes=tuple((_length(w), _length(h)) for w, h in header["sizes"]),
        tiles=tuple(_tile(t, len(header["sizes"])) for t in header["tiles"]),
        tile=arrays["token_tile"],
        row=arrays["token_row"],
        col=arrays["token_col"],
        kind=arrays["token_kind"],
        position=arrays["token_position"],
    )
    _check_layout(layout)
    return layout


def _length(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise TraceError("an image size in the trace is out of range.")
    return value


def _tile(entry: Sequence[Any], images: int) -> Tile:
    image, rows, cols, box, role = entry
    x0, y0, x1, y1 = (float(v) for v in box)
    if not (0 <= image < images and x0 < x1 and y0 < y1 and np.isfinite([x0, y0, x1, y1]).all()):
        raise TraceError("a tile in the trace lies nowhere.")
    return Tile(int(image), _length(rows), _length(cols), (x0, y0, x1, y1), read_text(role))


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


def read_stages(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[StageRecord, ...]:
    """Return the stages of token reduction, in order."""
    entries = header.get("stages", ())
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
    roles = {read_text(name): _members(tokens, int(n)) for name, tokens in named.items()}
    reduction = Reduction.from_entries(
        rows, cols, weights, int(n), len(position), position, score=score, roles=roles
    )
    return StageRecord(
        read_text(method),
        read_text(place),
        None if layer is None else int(layer),
        reduction,
        float(seconds),
        read_text(effect),
    )


def _members(tokens: Sequence[Any], n: int) -> np.ndarray:
    if not all(type(token) is int and 0 <= token < n for token in tokens):
        raise TraceError(f"a method's name for tokens points outside the {n} that it decided on.")
    return np.array(tokens, np.int64)


def read_mitigation(entry: Mapping[str, Any] | None) -> MitigationRecord | None:
    """Return what was done besides removing tokens; None where nothing was."""
    if entry is None:
        return None
    told = {
        read_text(name): [_scalar(v) for v in value] if isinstance(value, list) else _scalar(value)
        for name, value in entry["told"].items()
    }
    options = {read_text(name): _scalar(value) for name, value in entry["options"].items()}
    kinds = read_texts(entry["kinds"])
    return MitigationRecord(read_text(entry["name"]), options, kinds, bool(entry["verified"]), told)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not np.isfinite(value):
        raise TraceError("a number of the mitigation in the trace is not finite.")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return read_text(value)
