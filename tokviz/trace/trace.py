"""The frozen record of one run: what was asked, what was answered, what was captured on the way.

Saved as one `.safetensors` file with a JSON header, never a pickle. SCHEMA is the format: it names
every array with its axes; checking, reading and the documentation follow from it. Everything but
the answer and the layout is optional; an analysis says which array it needs. This module, `matrix`
and `layout` need only numpy and safetensors, so that any other code can write a trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from tokviz.errors import MissingSignal, TraceError
from tokviz.matrix import Reduction
from tokviz.names import unknown
from tokviz.notebook_display import made
from tokviz.text.token_bytes import MARKS, guess_marks, spelled
from tokviz.text.words import exact_pieces, word_spans
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
from tokviz.trace.layout import Layout
from tokviz.trace.limits import (
    MAX_CELLS,
    MAX_COUNT,
    MAX_EXPLAINED,
    MAX_IMAGES,
    MAX_LAYERS,
    listed,
    whole,
)
from tokviz.trace.schema import (
    BLOCKS,
    CONTROLS,
    MODALITIES,
    PROMPT_INDICES,
    SCHEMA,
    STAGE_ARRAYS,
    STAGE_SCORE,
)
from tokviz.trace.stages import CUT_OFF, FINISHES, MitigationRecord, StageRecord


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
    finish: str = ""
    "Why the answer ended, a key of `tokviz.trace.stages.FINISHES`; empty = not known."
    word_marks: str = ""
    "How the tokenizer writes word starts, a key of `tokviz.text.token_bytes.MARKS`."
    answer_marks: tuple[int, ...] = ()
    "Answer tokens that are marks and no text, such as <|im_end|>; their pieces are empty."

    def __post_init__(self) -> None:
        """Check every array against SCHEMA; raise TraceError."""
        check_arrays(self)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            if name not in SCHEMA:
                raise MissingSignal(unknown("array", name, self.arrays))
            raise MissingSignal(f"this trace does not hold {name!r} ({SCHEMA[name].meaning})")
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def keys(self) -> tuple[str, ...]:
        """Return the names of the arrays that it holds; what each means is in `tokviz.SCHEMA`."""
        return tuple(self.arrays)

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __repr__(self) -> str:
        """Return a few words; the arrays' contents and pictures would fill the screen."""
        left = f", {self.reduction.m} left" if self.stages else ""
        said = f"{self.prompt[:60]!r} -> {self.answer[:60]!r}"
        held = shorten(", ".join(self.arrays) or "none", 50, placeholder=" …")
        arrays = f"{len(self.arrays)} arrays: {held}"
        return f"<Trace {said}, {self.n} visual tokens{left}, {arrays}>"

    def _repr_html_(self) -> str | None:
        """Return the run as Jupyter shows it, with its overlay alive."""
        return made("trace", self)

    def to_pandas(self, name: str | None = None) -> Any:
        """Return a pandas DataFrame.

        Args:
            name: an array of `tokviz.SCHEMA`: one row per number, in a column of that name, with
                an index level per axis (answer_token, layer, head, token, prompt_token ...) and
                the columns row and column where there are visual tokens. None: one row per visual
                token with its place (image, tile, row, column, x0 to y1 in pixels) and what became
                of it (fate, group, stage, score).

        Raises:
            MissingSignal: the trace does not hold the array.
            InputError: pandas is not installed, or the array is too large for a table.
        """
        return made("table", self, name)

    def plot(
        self,
        name: str = "attention",
        word: int | str | None = None,
        layer: int | None = None,
        head: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw one array with matplotlib: over the picture, as a line or as an image of two axes.

        Args:
            name: an array of `tokviz.SCHEMA`.
            word: a word of the answer, or the number of an answer token; None = the mean of all.
            layer: of the decoder, or of the tower; None = the mean.
            head: likewise.
            ax: matplotlib axes to draw into; None = new ones.

        Returns:
            The axes.

        Raises:
            MissingSignal: the trace does not hold the array.
            InputError: matplotlib is not installed, or the array has no such axis or word.
        """
        return made("plot", self, name, word, layer, head, ax)

    @property
    def source(self) -> str:
        """Who made the run: its model's name, or the method whose decisions were imported."""
        imported = self.model.get("imported")
        return f"{imported} (imported)" if imported else str(self.model.get("name", ""))

    @property
    def n(self) -> int:
        """Number of visual tokens before any reduction."""
        return self.layout.n

    @property
    def t(self) -> int:
        """Number of answer tokens."""
        return len(self.answer_tokens)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The piece of the answer that each answer token spells; joined they are the answer."""
        return exact_pieces(
            self.answer_tokens, self.answer, self.word_marks, others=self.prompt_tokens
        )

    @cached_property
    def prompt_pieces(self) -> tuple[str, ...]:
        """What each prompt token spells; a letter of several tokens is in the last one's piece."""
        marks = self.word_marks or guess_marks(self.prompt_tokens)
        return tuple(spelled(self.prompt_tokens, marks))

    @cached_property
    def word_spans(self) -> list[tuple[int, int]]:
        """[start, stop) of the answer tokens of each word."""
        return word_spans(self.pieces, self.answer_marks)

    @property
    def cut_off(self) -> bool:
        """True when something other than the model ended the answer."""
        return self.finish in CUT_OFF

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
        target = Path(path)
        if not target.name or target.is_dir():
            raise TraceError(f"the trace cannot be written to {str(path)!r}: it is a folder.")
        trace_io.write_whole(target, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the file's bytes; raise TraceError for what no reader would take."""
        arrays = dict(self.arrays)
        for i, jpeg in enumerate(self.images):
            arrays[f"image.{i}"] = np.frombuffer(jpeg, np.uint8)
        for i, stage in enumerate(self.stages):
            for name, spec in STAGE_ARRAYS.items():
                arrays[f"stage.{i}.{name}"] = getattr(stage.reduction, name).astype(spec.dtype)
            if stage.reduction.score is not None:
                arrays[f"stage.{i}.score"] = stage.reduction.score.astype(STAGE_SCORE.dtype)
        try:
            return trace_io.pack(_header(self), arrays)
        except trace_io.BadTrace as error:
            raise TraceError(f"this run cannot be stored: {error}") from error


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
        "finish": trace.finish,
        "word_marks": trace.word_marks,
        "answer_marks": trace.answer_marks,
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
        "b": len(BLOCKS) if "mark_rows" in trace.arrays else len(BLOCKS) - 1,
        "x": len(CONTROLS),
        "m": len(MODALITIES),
    }
    for name, array in trace.arrays.items():
        _check_array(name, array, lengths)
    for name in PROMPT_INDICES:
        rows = trace.arrays.get(name, np.zeros(0, np.int32))
        if rows.size and (rows.min() < 0 or rows.max() >= lengths["s"]):
            raise TraceError(f"{name} points outside the {lengths['s']} tokens of the prompt.")
    if not all(0 <= token < lengths["t"] for token in trace.answer_marks):
        raise TraceError(f"answer_marks points outside the {lengths['t']} tokens of the answer.")
    alive = trace.layout.n
    for stage in trace.stages:
        if stage.reduction.n != alive:
            raise TraceError(f"a stage takes {stage.reduction.n} tokens, but {alive} were left.")
        alive = stage.reduction.m if stage.removes else alive


def _check_array(name: str, array: np.ndarray, lengths: dict[str, int]) -> None:
    """Raise TraceError unless an array fits SCHEMA; record the length of axes not seen yet."""
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
        raise TraceError(
            f"the trace is damaged ({type(error).__name__}): save it again."
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("tokviz"):
            raise TraceError(f"the trace contradicts itself: {error}") from error
        raise


def widened(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of an older file with the wider numbers that it is stored in by now."""
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
        raise TraceError("a picture in the trace is no row of bytes.")
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
    """Raise TraceError where the maps that are made of a trace would be far larger than it."""
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
