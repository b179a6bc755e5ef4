"""From a trace file to a Trace, without trusting anything in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tokviz.errors import TraceError
from tokviz.keywords import tells_arguments
from tokviz.text.token_bytes import MARKS
from tokviz.trace import trace_io
from tokviz.trace.header import (
    read_choice,
    read_field,
    read_indices,
    read_layout,
    read_lengths,
    read_mitigation,
    read_model,
    read_stages,
    read_text,
    read_texts,
    read_timings,
    read_words,
)
from tokviz.trace.limits import (
    MAX_CELLS,
    MAX_COUNT,
    MAX_EXPLAINED,
    MAX_IMAGES,
    MAX_LAYERS,
    listed,
    whole,
)
from tokviz.trace.schema import SCHEMA
from tokviz.trace.stages import FINISHES
from tokviz.trace.trace import Trace


@tells_arguments
def open_trace(source: str | Path | bytes) -> Trace:
    """Read a trace from a path or from bytes; every value of the file is checked.

    Raises:
        TraceError: not a trace, damaged, of another version, too large, or inconsistent.
    """
    if not isinstance(source, (str, Path, bytes)):
        raise TraceError(f"a trace is a file or bytes, got {type(source).__name__}.")
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
        raise TraceError(
            f"the trace is damaged ({type(error).__name__}): save it again."
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("tokviz"):
            raise TraceError(f"the trace contradicts itself: {error}") from error
        raise


def widened(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of an older file in the wider number type that the format has now."""
    wide = np.dtype(SCHEMA[name].dtype)
    older = array.dtype == np.float16 and wide == np.float32
    return array.astype(wide) if older else array


def _build(header: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> Trace:
    named = {name: widened(name, a) for name, a in arrays.items() if name in SCHEMA}
    part = partial(read_field, header)
    part("sizes", lambda found: listed(found, "it", MAX_IMAGES))
    layout = part("tiles", lambda _: read_layout(header, named))
    images = [arrays[f"image.{i}"] for i in range(len(layout.sizes)) if f"image.{i}" in arrays]
    if not all(image.dtype == np.uint8 and image.ndim == 1 for image in images):
        raise TraceError("a picture in the trace is not an array of bytes.")
    trace = Trace(
        prompt=part("prompt", read_text),
        answer=part("answer", read_text),
        model=part("model", read_model),
        layout=layout,
        prompt_tokens=part("prompt_tokens", read_texts),
        answer_tokens=part("answer_tokens", read_texts),
        arrays=named,
        candidate_tokens=part("candidate_tokens", _candidates, ()),
        words=part("words", read_words, {}),
        stages=part("stages", lambda _: read_stages(header, arrays), ()),
        images=tuple(image.tobytes() for image in images),
        timings=part("timings", read_timings, {}),
        kv_bytes=part("kv_bytes", lambda found: whole(found, "it", 0, MAX_COUNT), 0),
        kv_lengths=part("kv_lengths", read_lengths, ()),
        notes=part("notes", read_texts, ()),
        mitigation=part("mitigation", read_mitigation, None),
        finish=part("finish", partial(read_choice, tuple(FINISHES)), ""),
        word_marks=part("word_marks", partial(read_choice, tuple(MARKS)), ""),
        answer_marks=part("answer_marks", read_indices, ()),
    )
    _check_work(trace)
    return trace


def _candidates(found: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(map(read_texts, listed(found, "it")))


def _check_work(trace: Trace) -> None:
    """Raise TraceError if the maps computed from a trace would be far larger than the trace."""
    own = trace.arrays.get("own_rows", np.zeros(0))
    explained = trace.t + len(own)
    if explained * trace.n > MAX_CELLS or ("readout" in trace and explained > MAX_EXPLAINED):
        raise TraceError(
            f"{explained:,} words on {trace.n:,} visual tokens are too many to show: "
            f"at most {MAX_CELLS:,} pairs and {MAX_EXPLAINED:,} words."
        )
    layers = trace.model.get("layers")
    for name, array in trace.arrays.items():
        axes = dict(zip(SCHEMA[name].axes.split(), array.shape, strict=True))
        for letter in "lhug":
            if axes.get(letter, 0) > MAX_LAYERS:
                raise TraceError(
                    f"{name} has {axes[letter]:,} along {letter!r}, over {MAX_LAYERS}."
                )
        if layers is not None and axes.get("l", layers) != layers:
            raise TraceError(f"{name} has {axes['l']} layers, but the model has {layers}.")
