"""The record of one run: the question, the answer, and the recorded arrays.

It is saved as one `.safetensors` file with a JSON header, never as a pickle. SCHEMA is the format:
it has every array with its axes. All arrays except those of the answer and the layout are optional;
an analysis says which array it needs. The package needs only numpy and safetensors, so that other
code can write traces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from tokviz.errors import MissingSignal, TraceError
from tokviz.matrix import Reduction
from tokviz.names import unknown
from tokviz.notebook_display import made
from tokviz.text.token_bytes import guess_marks, spelled
from tokviz.text.whole import whole_text, whole_texts
from tokviz.text.words import exact_pieces, spelled_whole, word_spans
from tokviz.trace import trace_io
from tokviz.trace.check_arrays import check_arrays
from tokviz.trace.layout import Layout
from tokviz.trace.schema import SCHEMA
from tokviz.trace.stages import CUT_OFF, CUT_OFF_WORDS, MitigationRecord, StageRecord
from tokviz.trace.to_file import file_arrays, header_of

TEXTS = ("prompt", "answer", "prompt_tokens", "answer_tokens", "candidate_tokens", "words", "model",
         "notes")  # fmt: skip
"""Fields with texts, which every file and page is made from."""


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
    "Texts of the token ids in arrays such as those of the logit lens."
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
    "Answer tokens that are control tokens and no text, such as <|im_end|>; their pieces are empty."

    def __post_init__(self) -> None:
        """Check every array against SCHEMA; raise TraceError. Texts can be written as UTF-8."""
        for name in TEXTS:
            object.__setattr__(self, name, whole_texts(getattr(self, name)))
        stages = (
            one if one.method.isascii() else replace(one, method=whole_text(one.method))
            for one in self.stages
        )
        object.__setattr__(self, "stages", tuple(stages))
        check_arrays(self)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            if not isinstance(name, str) or name not in SCHEMA:
                raise MissingSignal(unknown("array", name, self.arrays))
            raise MissingSignal(f"this trace does not hold {name!r} ({SCHEMA[name].meaning})")
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.arrays

    def keys(self) -> tuple[str, ...]:
        """Return the names of its arrays; their meanings are in `tokviz.SCHEMA`."""
        return tuple(self.arrays)

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __repr__(self) -> str:
        """Return one line, without the contents of arrays and pictures."""
        left = f", {self.reduction.m} left" if self.stages else ""
        cut = f" ({word})" if (word := CUT_OFF_WORDS.get(self.finish)) else ""
        said = f"{self.prompt[:60]!r} -> {self.answer[:60]!r}{cut}"
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
    def whole_n(self) -> int:
        """Visual tokens of the whole picture; more than n where a smaller one was asked about."""
        told = self.model.get("whole_tokens")
        return told if type(told) is int and told > self.n else self.n

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
        """The text of each prompt token; a character of several tokens is in the last one."""
        marks = self.word_marks or guess_marks(self.prompt_tokens)
        return tuple(spelled(self.prompt_tokens, marks))

    @property
    def prompt_texts(self) -> list[str]:
        """What to call each prompt token; a part of a character is called by the whole one."""
        return spelled_whole(self.prompt_pieces)

    @cached_property
    def word_spans(self) -> list[tuple[int, int]]:
        """[start, stop) of the answer tokens of each word."""
        return word_spans(self.pieces, self.answer_marks)

    @property
    def cut_off(self) -> bool:
        """True if a limit or a person ended the answer, not the model."""
        return self.finish in CUT_OFF

    @cached_property
    def reduction(self) -> Reduction:
        """All stages as one matrix over the original visual tokens.

        Of stages that only mask or bypass layers, the last one counts.
        """
        whole = Reduction.identity(self.n)
        for stage in self.stages:
            whole = whole.then(stage.reduction) if stage.removes else whole
        if self.stages and not self.stages[-1].removes:
            whole = whole.then(self.stages[-1].reduction)
        return whole

    @cached_property
    def went_at(self) -> np.ndarray:
        """int16 [n], the stage that merged or removed each token; -1 = it is kept unmerged."""
        went = np.full(self.n, -1, np.int16)
        whole = Reduction.identity(self.n)
        for number, stage in enumerate(self.stages):
            after = whole.then(stage.reduction)
            went[(after.fate != 0) & (went < 0)] = number
            whole = after if stage.removes else whole
        return went

    def save(self, path: str | Path) -> None:
        """Write the trace to one .safetensors file; a half-written file never takes its place."""
        target = place_of(path)
        if not target.name or target.is_dir():
            raise TraceError(f"the trace cannot be written to {str(path)!r}: it is a folder.")
        if not target.parent.is_dir():
            raise TraceError(
                f"the trace cannot be written to {str(path)!r}: there is no such folder."
            )
        trace_io.write_whole(target, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the file's bytes; raise TraceError for values that no reader accepts."""
        try:
            return trace_io.pack(header_of(self), file_arrays(self))
        except trace_io.BadTrace as error:
            raise TraceError(f"this run cannot be stored: {error}") from error


def place_of(path: Any) -> Path:
    """Return where a trace is to be written; raise TraceError for what cannot name a file."""
    try:
        name = os.fsencode(path)
    except (TypeError, UnicodeEncodeError):
        name = b"\0"
    if b"\0" in name:
        raise TraceError(f"the trace cannot be written to {path!r:.80}: give a file's path.")
    return Path(os.fsdecode(name))
