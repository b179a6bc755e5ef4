"""Traces made by hand: a square in a picture, a grid of tokens, and attention that knows it."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from tokviz.matrix import Reduction
from tokviz.trace import Trace
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.stages import StageRecord
from tokviz.trace.to_file import layout_arrays

RED, BLUE = (210, 40, 40), (40, 70, 200)


def picture(colour: tuple[int, int, int] = RED, side: int = 192) -> Image.Image:
    """A square of one colour in the upper left of a grey picture."""
    image = Image.new("RGB", (side, side), (200, 200, 200))
    ImageDraw.Draw(image).rectangle((side // 6, side // 6, side // 2, side // 2), fill=colour)
    return image


def jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def grid_layout(rows: int, cols: int, side: int = 192, kind: list[int] | None = None) -> Layout:
    n = rows * cols
    return Layout(
        sizes=((side, side),),
        tiles=(Tile(0, rows, cols, (0.0, 0.0, float(side), float(side))),),
        tile=np.zeros(n, np.int16),
        row=np.repeat(np.arange(rows), cols).astype(np.int16),
        col=np.tile(np.arange(cols), rows).astype(np.int16),
        kind=np.zeros(n, np.uint8),
        position=np.arange(2, 2 + n, dtype=np.int32),
    )


def fake_trace(
    rows: int = 2,
    cols: int = 3,
    words: tuple[str, ...] = ("a", " dog", "."),
    *,
    layers: int = 4,
    heads: int = 2,
    image: Image.Image | None = None,
    prompt: str = "what is this ?",
    stages: tuple[StageRecord, ...] = (),
    seed: int = 0,
    answer: str | None = None,
    timings: dict[str, float] | None = None,
) -> Trace:
    """A trace in which every map peaks on the tokens of the square in the upper left."""
    rng, n, t = np.random.default_rng(seed), rows * cols, len(words)
    layout = grid_layout(rows, cols)
    box = layout.box
    middle = (box[:, :2] + box[:, 2:]) / 2
    near = np.exp(-(((middle - 64) / 45) ** 2).sum(1))
    per_head = (
        rng.random((t, layers, heads, n)) * 0.3 + near * (1 + np.arange(t))[:, None, None, None]
    )
    share = 0.15 + 0.5 * rng.random((t, layers, heads))
    per_head = per_head / per_head.sum(-1, keepdims=True) * share[..., None]
    mass = np.stack([(1 - share) / 2, share, (1 - share) / 2, share * 0], -1)
    phi = rng.random((layers, n + 6)) * 3
    phi[1:, 2 + n - 1] = 40
    cls = rng.random((3, n)) * 0.2 + near
    arrays = layout_arrays(layout) | {
        "attention_heads": per_head.astype(np.float16),
        "attention": per_head.mean(2).astype(np.float16),
        "mass": mass.astype(np.float16),
        "cls_attention": (cls / cls.sum(1, keepdims=True)).astype(np.float16),
        "answer_prob": np.linspace(0.95, 0.4, t).astype(np.float32),
        "candidate_ids": np.zeros((t, 2), np.int32),
        "candidate_prob": np.tile(np.float32([0.6, 0.3]), (t, 1)),
        "sink_phi": phi.astype(np.float16),
    }
    return Trace(
        prompt=prompt,
        answer="".join(words) if answer is None else answer,
        model={"name": "fake", "has_cls": True, "layers": layers, "hidden_size": 64,
               "device": "cpu", "dtype": "float32"},
        layout=layout,
        prompt_tokens=("<s>", "USER:", *["<image>"] * n, *(prompt.split() + ["?"] * 4)[:4]),
        answer_tokens=words,
        arrays=arrays,
        candidate_tokens=tuple((word.strip(), "cat") for word in words),
        stages=stages,
        images=(jpeg(image or picture()),),
        timings=timings or {"encode": 0.01, "decide": 0.0, "prefill": 0.02, "decode": 0.05,
                            "first_token": 0.03, "total": 0.08},
        kv_bytes=300_000,
    )  # fmt: skip


def tiled_layout() -> Layout:
    """A 2x2 grid on the first image; two tiles and a small view on the second."""
    tiles = (
        Tile(0, 2, 2, (0.0, 0.0, 100.0, 100.0)),
        Tile(1, 2, 2, (0.0, 0.0, 100.0, 100.0), "tile"),
        Tile(1, 2, 2, (100.0, 0.0, 200.0, 100.0), "tile"),
        Tile(1, 1, 2, (0.0, 0.0, 200.0, 100.0), "thumbnail"),
    )
    counts = [t.rows * t.cols for t in tiles]
    row = np.concatenate([np.repeat(np.arange(t.rows), t.cols) for t in tiles])
    col = np.concatenate([np.tile(np.arange(t.cols), t.rows) for t in tiles])
    n = sum(counts)
    return Layout(
        sizes=((100, 100), (200, 100)),
        tiles=tiles,
        tile=np.repeat(np.arange(4), counts).astype(np.int16),
        row=row.astype(np.int16),
        col=col.astype(np.int16),
        kind=np.zeros(n, np.uint8),
        position=np.arange(2, 2 + n, dtype=np.int32),
    )


def tiled_trace() -> Trace:
    """Two images, the second in two tiles and a small view; a uniform map."""
    layout, words, layers = tiled_layout(), ("tiles",), 2
    n = layout.n
    attention = np.full((1, layers, n), 0.5 / n, np.float16)
    arrays = layout_arrays(layout) | {"attention": attention}
    pictures = (picture(RED, 100), picture(BLUE, 100).resize((200, 100)))
    return Trace(
        prompt="which ?", answer="tiles", model={"name": "fake", "layers": layers}, layout=layout,
        prompt_tokens=("<s>", "USER:", *["<image>"] * n, "?"), answer_tokens=words, arrays=arrays,
        images=tuple(map(jpeg, pictures)),
    )  # fmt: skip


def stage(reduction: Reduction, method: str = "fastervlm", place: str = "before") -> StageRecord:
    return StageRecord(method, place, None, reduction, 0.001)


def pruned(n: int, keep: int, seed: int = 0) -> Reduction:
    """Keeps the first `keep` tokens of a shuffled order, with scores to match."""
    order = np.random.default_rng(seed).permutation(n)
    score = np.empty(n, np.float32)
    score[order] = np.linspace(1, 0, n)
    return Reduction.select(order[:keep], n, score=score, order=order[:keep])


def merged(n: int, groups: int) -> Reduction:
    """Merges neighbours into equal groups and keeps the first quarter alone."""
    alone = [[i] for i in range(n // 4)]
    rest = np.array_split(np.arange(n // 4, n), groups)
    return Reduction.from_groups([*alone, *[r.tolist() for r in rest]], n)
