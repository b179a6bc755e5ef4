"""Reads the parts of a trace file's header and layout; every value is checked.

Each function takes a value of the file and returns its checked form, or raises TraceError. Counts
are compared with the arrays and with the limits of `tokviz.trace.limits` before memory of that size
is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tokviz.errors import TraceError
from tokviz.matrix import FATES, Reduction
from tokviz.per_head import PerHead
from tokviz.trace.layer_gaps import FACT, LAST_ROW
from tokviz.trace.layout import KINDS, Layout, Tile
from tokviz.trace.limits import (
    MAX_AREA,
    MAX_COUNT,
    MAX_ENTRIES,
    MAX_IMAGES,
    MAX_LAYERS,
    MAX_PRODUCTS,
    MAX_REACH,
    MAX_SECONDS,
    MAX_SIDE,
    MAX_STAGE_CELLS,
    MAX_STAGES,
    MAX_TEXT,
    MAX_TILES,
    MAX_TOKENS,
    identifier,
    listed,
    mapping,
    real,
    row,
    text,
    whole,
)
from tokviz.trace.schema import STAGE_ARRAYS
from tokviz.trace.stages import MitigationRecord, Scalar, StageRecord

T = TypeVar("T")


def read_field(header: Mapping[str, Any], name: str, read: Callable[[Any], T], *default: Any) -> T:
    """Return the checked value of a header's field; raise TraceError with the field's name."""
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
    return text(value, "a text in the trace", MAX_TEXT)


def read_texts(values: Any) -> tuple[str, ...]:
    """Return a list of texts."""
    return tuple(read_text(v) for v in listed(values, "a list of texts in the trace"))


def read_model(value: Any) -> dict[str, Any]:
    """Return the facts about the model; the fields that tokviz reads have the right types."""
    model = {text(k, "a name in it"): v for k, v in mapping(value, "it", MAX_LAYERS).items()}
    for name in ("name", "family", "device", "dtype", "imported", "reason", "picture"):
        if name in model:
            text(model[name], name)
    for name, least in (("layers", 1), ("heads", 1), ("tower_layers", 0)):
        if name in model:
            whole(model[name], name, least, MAX_LAYERS)
    if "feature_layer" in model:
        whole(model["feature_layer"], "feature_layer", -MAX_LAYERS, MAX_LAYERS)
    for name in ("hidden_size", "tower_width", "patch_size"):
        if name in model:
            whole(model[name], name, 1, MAX_SIDE)
    for name in ("whole_tokens", "forced"):
        if name in model:
            whole(model[name], name, 1, MAX_SIDE)
    for kind, layers in mapping(model.get(FACT) or {}, FACT, MAX_LAYERS).items():
        text(kind, f"each name in {FACT}")
        for layer in listed(layers, FACT, MAX_LAYERS):
            whole(layer, f"each layer of {FACT}", 0, int(model.get("layers") or MAX_LAYERS) - 1)
    for layer in listed(model.get(LAST_ROW) or (), LAST_ROW, MAX_LAYERS):
        whole(layer, f"each layer of {LAST_ROW}", 0, int(model.get("layers") or MAX_LAYERS) - 1)
    if "has_cls" in model and not isinstance(model["has_cls"], bool):
        raise TraceError("has_cls must be true or false.")
    for status in listed(model.get("status") or (), "status", MAX_STAGES):
        _check_status(mapping(status, "each status"))
    for policy in listed(model.get("positions") or (), "positions", MAX_STAGES):
        text(policy, "each of positions")
    for name, share in mapping(model.get("prefill_share") or {}, "prefill_share").items():
        if share is not None:
            real(share, f"prefill_share of {name[:40]!r}", 0, MAX_SIDE)
    return model


def _check_status(status: Mapping[str, Any]) -> None:
    """Raise TraceError unless it says of a method in a word, with reasons, how close it came."""
    for name in ("name", "word"):
        text(status[name], f"the {name} of a status")
    for reason in listed(status["why"], "the reasons of a status", MAX_LAYERS):
        text(reason, "a reason of a status", MAX_TEXT)


def read_timings(value: Any) -> dict[str, float]:
    """Return seconds by name."""
    named = mapping(value, "it", MAX_LAYERS)
    return {text(k, "a name"): real(v, "each time", 0, MAX_SECONDS) for k, v in named.items()}


def read_lengths(value: Any) -> tuple[int, ...]:
    """Return the rows in the cache of each decoder layer."""
    return tuple(whole(v, "each length", 0, MAX_COUNT) for v in listed(value, "it", MAX_LAYERS))


def read_words(value: Any) -> dict[int, str]:
    """Return texts of token ids."""
    named = mapping(value, "it")
    if not all(name.isascii() and name.isdigit() and len(name) < 11 for name in named):
        raise TraceError("each name must be a token id.")
    return {int(i): read_text(w) for i, w in named.items()}


def read_choice(known: Sequence[str], value: Any) -> str:
    """Return one of the known names, or "" if the field is empty."""
    if value != "" and value not in known:
        raise TraceError(f"it must be one of {', '.join(known)}, got {str(value)[:40]!r}.")
    return str(value)


def read_indices(values: Sequence[Any]) -> tuple[int, ...]:
    """Return a list of whole numbers."""
    if isinstance(values, str) or not all(type(value) is int for value in values):
        raise TraceError("a list of whole numbers is expected.")
    return tuple(values)


def read_layout(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Layout:
    """Return the layout of the visual tokens; raise TraceError if it contradicts itself."""
    names = ("tile", "row", "col", "kind", "position")
    found = {name: arrays[f"token_{name}"] for name in names}
    if {a.shape for a in found.values()} != {(found["tile"].size,)}:
        raise TraceError("the layout's arrays differ in length.")
    if found["tile"].size > MAX_TOKENS:
        raise TraceError(f"a trace has at most {MAX_TOKENS:,} visual tokens.")
    sizes = tuple(_size(entry) for entry in listed(header["sizes"], "'sizes'", MAX_IMAGES))
    tiles = tuple(_tile(entry, sizes) for entry in listed(header["tiles"], "'tiles'", MAX_TILES))
    layout = Layout(sizes=sizes, tiles=tiles, **found)
    _check_layout(layout)
    return layout


def _size(entry: Any) -> tuple[int, int]:
    width, height = (_length(side, "an image size") for side in row(entry, "an image size", 2))
    if width * height > MAX_AREA:
        raise TraceError(f"an image size in the trace is out of range (over {MAX_AREA:,} pixels).")
    return width, height


def _length(value: Any, what: str) -> int:
    return whole(value, f"{what} in the trace is out of range: it", 1, MAX_SIDE)


def _tile(entry: Any, sizes: Sequence[tuple[int, int]]) -> Tile:
    length = 6 if len(listed(entry, "a tile")) == 6 else 5
    image, rows, cols, box, role, *film = row(entry, "a tile", length)
    number = whole(image, "the image of a tile", 0, len(sizes) - 1)
    reach = MAX_REACH * max(sizes[number])
    x0, y0, x1, y1 = (real(v, "a side of a tile", -reach, reach) for v in row(box, "a box", 4))
    if not (x0 < x1 and y0 < y1):
        raise TraceError("a tile in the trace has a box without area.")
    shape = _length(rows, "a tile's grid"), _length(cols, "a tile's grid")
    time = _time(film[0]) if film else None
    return Tile(number, *shape, (x0, y0, x1, y1), text(role, "a tile's role"), time)


def _time(entry: Any) -> tuple[float, float]:
    """Return the first and the last second of a tile of a film."""
    first, last = (real(v, "a tile's time", 0, MAX_SECONDS) for v in row(entry, "a time", 2))
    if last < first:
        raise TraceError("a tile's time in the trace ends before it begins.")
    return first, last


def _check_layout(layout: Layout) -> None:
    """Raise TraceError unless tiles and tokens fit; allocates nothing of a grid's size."""
    cells = sum(tile.rows * tile.cols for tile in layout.tiles)
    # some checkpoints drop the first patch of each picture (LLaVA with SigLIP and "default")
    if cells > layout.n + len(layout.tiles):
        raise TraceError(
            f"the grids of the tiles have {cells:,} cells, more than the {layout.n:,} visual "
            "tokens of the trace."
        )
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
    entries = listed(header.get("stages", ()), "it", MAX_STAGES)
    roles = listed(header.get("roles") or [{}] * len(entries), "'roles'", MAX_STAGES)
    n = len(arrays["token_tile"])
    if len(entries) * n > MAX_STAGE_CELLS:
        raise TraceError(f"{len(entries)} stages on {n:,} visual tokens are too many to show.")
    if len(roles) != len(entries):
        raise TraceError(f"there are {len(entries)} stages, but roles for {len(roles)}.")
    stages, alive = [], n
    for number, (entry, named) in enumerate(zip(entries, roles, strict=True)):
        stages.append(_stage(number, entry, named, arrays, alive))
        alive = stages[-1].reduction.m if stages[-1].removes else alive
    check_products([stage.reduction for stage in stages], [stage.removes for stage in stages], n)
    return tuple(stages)


def check_products(stages: Sequence[Reduction], removes: Sequence[bool], n: int) -> None:
    """Raise TraceError if multiplying the matrices of all stages would take too much work."""
    done, total = Reduction.identity(n), 0
    for stage, lasting in zip(stages, removes, strict=True):
        products = done.products(stage)
        total += products
        if products > MAX_ENTRIES or total > MAX_PRODUCTS:
            raise TraceError("the stages have far too many entries together.")
        done = done.then(stage) if lasting else done


def _stage(
    number: int,
    entry: Any,
    named: Any,
    arrays: Mapping[str, np.ndarray],
    alive: int,
) -> StageRecord:
    method, place, layer, n, seconds, effect = row(entry, "a stage", 6)
    if whole(n, "the tokens that a stage decides on", 0, MAX_TOKENS) != alive:
        raise TraceError(f"a stage takes {n} tokens, but {alive} were left.")
    parts = [_stage_array(arrays, number, name) for name in STAGE_ARRAYS]
    rows, cols, weights, position = parts
    score = arrays.get(f"stage.{number}.score")
    if score is not None and score.shape != (n,):
        raise TraceError(f"a stage that decides on {n} tokens has scores for {score.size}.")
    roles = {
        text(name, "a role"): _members(tokens, n)
        for name, tokens in mapping(named, "the roles of a stage", MAX_LAYERS).items()
    }
    heads = _stage_heads(arrays.get(f"stage.{number}.heads"), n)
    reduction = Reduction.from_entries(
        rows, cols, weights, n, len(position), position, score=score, roles=roles, heads=heads
    )
    return StageRecord(
        text(method, "a method"),
        text(place, "a place"),
        None if layer is None else whole(layer, "a stage's layer", 0, MAX_LAYERS),
        reduction,
        real(seconds, "a stage's seconds", 0, MAX_SECONDS),
        text(effect, "an effect"),
    )


def _stage_array(arrays: Mapping[str, np.ndarray], number: int, name: str) -> np.ndarray:
    """Return one array of a stage; raise TraceError for another type or far too many entries."""
    array, where = arrays[f"stage.{number}.{name}"], f"stage.{number}.{name}"
    dtype = np.dtype(STAGE_ARRAYS[name].dtype)
    if array.ndim != 1 or array.dtype != dtype or len(array) > MAX_ENTRIES:
        raise TraceError(f"{where} must be {dtype} of at most {MAX_ENTRIES:,} entries.")
    if name == "position" and len(array) > MAX_TOKENS:
        raise TraceError(f"{where} leaves more than {MAX_TOKENS:,} tokens.")
    return array


def _stage_heads(fate: np.ndarray | None, n: int) -> PerHead | None:
    """Return what each key head's cache holds; None for a stage that decided for all heads."""
    if fate is None:
        return None
    if fate.dtype != np.uint8 or fate.ndim != 2 or fate.shape[1] != n or not len(fate):
        raise TraceError(f"the fates per key head of a stage must be uint8 [heads, {n}].")
    if len(fate) > MAX_LAYERS or fate.size > MAX_ENTRIES or (fate >= len(FATES)).any():
        raise TraceError("the fates per key head of a stage are too many, or are no fates.")
    return PerHead(fate)


def _members(tokens: Any, n: int) -> np.ndarray:
    named = listed(tokens, "a role's tokens", MAX_TOKENS)
    if not all(type(token) is int and 0 <= token < n for token in named):
        raise TraceError(f"a method's name for tokens points outside the {n} that it decided on.")
    return np.array(named, np.int64)


def read_mitigation(entry: Any) -> MitigationRecord | None:
    """Return the mitigation of the run; None without one."""
    if entry is None:
        return None
    found = mapping(entry, "it")
    told = {
        text(name, "a name in 'told'"): [_scalar(v) for v in value]
        if isinstance(value, list)
        else _scalar(value)
        for name, value in mapping(found["told"], "'told'").items()
    }
    options = {
        identifier(name, "an option's name"): _scalar(value)
        for name, value in mapping(found["options"], "'options'", MAX_LAYERS).items()
    }
    if not isinstance(found["verified"], bool):
        raise TraceError("'verified' must be true or false.")
    kinds = tuple(text(kind, "a kind") for kind in listed(found["kinds"], "'kinds'", MAX_LAYERS))
    return MitigationRecord(
        text(found["name"], "its name"), options, kinds, found["verified"], told
    )


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return whole(value, "a number of the mitigation", -MAX_COUNT, MAX_COUNT)
    if isinstance(value, float):
        if not np.isfinite(value):
            raise TraceError("a number of the mitigation in the trace is not finite.")
        return value
    return read_text(value)
