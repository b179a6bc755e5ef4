"""From a trace to the header and the arrays of its file; `trace_io` packs them into bytes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tokviz.trace.layout import Layout, Tile
from tokviz.trace.schema import STAGE_ARRAYS, STAGE_SCORE

if TYPE_CHECKING:
    from tokviz.trace.trace import Trace


def header_of(trace: Trace) -> dict[str, Any]:
    """Return the fields of the JSON header, see `schema.HEADER`."""
    return {
        "prompt": trace.prompt,
        "answer": trace.answer,
        "model": dict(trace.model),
        "prompt_tokens": trace.prompt_tokens,
        "answer_tokens": trace.answer_tokens,
        "candidate_tokens": trace.candidate_tokens,
        "words": {str(token): text for token, text in trace.words.items()},
        "sizes": trace.layout.sizes,
        "tiles": [tile_entry(tile) for tile in trace.layout.tiles],
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


def tile_entry(tile: Tile) -> list[Any]:
    """Return a tile as the header has it; its time only if it is of a film."""
    entry = [tile.image, tile.rows, tile.cols, tile.box, tile.role]
    return entry if tile.time is None else [*entry, tile.time]


def file_arrays(trace: Trace) -> dict[str, np.ndarray]:
    """Return all arrays of the file by name: those of the run, of its images and its stages."""
    arrays = dict(trace.arrays)
    for i, jpeg in enumerate(trace.images):
        arrays[f"image.{i}"] = np.frombuffer(jpeg, np.uint8)
    for i, stage in enumerate(trace.stages):
        for name, spec in STAGE_ARRAYS.items():
            arrays[f"stage.{i}.{name}"] = getattr(stage.reduction, name).astype(spec.dtype)
        if stage.reduction.heads is not None:
            arrays[f"stage.{i}.heads"] = stage.reduction.heads.fate
        if stage.reduction.score is not None:
            arrays[f"stage.{i}.score"] = stage.reduction.score.astype(STAGE_SCORE.dtype)
    return arrays


def layout_arrays(layout: Layout) -> dict[str, np.ndarray]:
    """Return the arrays of SCHEMA that describe a layout."""
    return {
        "token_tile": layout.tile.astype(np.int16),
        "token_row": layout.row.astype(np.int16),
        "token_col": layout.col.astype(np.int16),
        "token_kind": layout.kind.astype(np.uint8),
        "token_position": layout.position.astype(np.int32),
    }
