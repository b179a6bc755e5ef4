"""docs/trace_format.md, written from tokviz/trace/schema.py."""

from tokviz.trace import limits as trace_limits
from tokviz.trace import trace_io
from tokviz.trace.schema import (
    AXES,
    BLOCKS,
    CONTROLS,
    HEADER,
    MODALITIES,
    REQUIRED_FIELDS,
    SCHEMA,
    STAGE_ARRAYS,
    STAGE_HEADS,
    STAGE_SCORE,
)

REQUIRED = ("token_tile", "token_row", "token_col", "token_kind", "token_position")

INTRO = f"""# The trace format, version {trace_io.VERSION}

Written from `tokviz/trace/schema.py` by `make docs`; do not edit.

A trace is one [safetensors](https://github.com/huggingface/safetensors) file: arrays by name, and
in the file's metadata `format` = `{trace_io.FORMAT}` and `header`, a JSON text. No pickle; nothing
in it is executed. At most {trace_io.MAX_FILE_BYTES >> 20} MB, of which
{trace_io.MAX_HEADER_CHARS:,} bytes before the arrays. tokviz refuses another version, arrays
that do not fit the table or each other, and numbers that lead nowhere; arrays that it does not
know are passed over. Refused in both directions, by `write` too: NaN and infinity, whole numbers of
over {trace_io.MAX_DIGITS} digits, half a character (a lone surrogate), over
{trace_io.MAX_VALUES:,} values or {trace_io.MAX_ARRAYS:,} arrays. Further bounds:
{trace_limits.MAX_TOKENS:,} visual tokens, {trace_limits.MAX_IMAGES} images,
{trace_limits.MAX_TILES:,} tiles whose grids have no more cells than there are visual tokens,
{trace_limits.MAX_STAGES} stages and {trace_limits.MAX_STAGE_CELLS:,} stages x visual tokens,
{trace_limits.MAX_ENTRIES:,} entries of a stage's matrix,
{trace_limits.MAX_CELLS:,} words x visual tokens. Names of options are Python names.

[tokviz/trace/trace_io.py](../tokviz/trace/trace_io.py) reads and writes the file
with numpy and safetensors only: copy it into your repository. This is a whole trace, which opens in
the page:

```python
import trace_io  # in tokviz: from tokviz.trace import trace_io

header, arrays = trace_io.start(
    prompt="is there a dog ?", answer="yes", image_size=(640, 480), grid=(24, 24)
)
trace_io.add_stage(header, arrays, "my method", kept=[3, 17, 210])
trace_io.write("run.safetensors", header, arrays)
```

Required are the fields and arrays marked *; an analysis that needs another one names it.
"""

STAGES = """
Stage `i` of `stages` is a sparse matrix W [m, n] from the tokens that the stages before it left
(the first: all visual tokens) to its own. Y = W X: a row with one entry of weight 1 keeps a
token, a row with several merges them, a column without entries is pruned. Arrays per stage:
"""

PICTURES = """
`image.0`, `image.1` ... (uint8): JPEG previews of the original images, at most 1024 pixels, as many
as `sizes` has entries or fewer.
"""

VERSIONS = """
Version 1: this page. A file says its version in the header; a reader that knows another one refuses
it. New optional arrays do not change the version.
"""


def page():
    """Return the whole page."""
    arrays = [
        (
            f"`{name}`{' *' if name in REQUIRED else ''}",
            f.axes.replace(" ", " × "),
            f.dtype,
            f.meaning,
        )
        for name, f in SCHEMA.items()
    ]
    header = [
        (f"`{name}`{' *' if name in REQUIRED_FIELDS else ''}", kind, meaning)
        for name, (kind, meaning) in HEADER.items()
    ]
    per_stage = {**STAGE_ARRAYS, "score": STAGE_SCORE, "heads": STAGE_HEADS}
    stages = [(f"`stage.i.{name}`", s.axes, s.dtype, s.meaning) for name, s in per_stage.items()]
    axes = [(f"`{letter}`", meaning) for letter, meaning in AXES.items()]
    parts = [
        INTRO,
        "## Header",
        table(("Field", "JSON", "Meaning"), header),
        "## Arrays",
        table(("Axis", "Length"), axes),
        f"Along `b`: {', '.join(BLOCKS)}. Along `x`: {', '.join(CONTROLS)}. "
        f"Along `m`: {', '.join(MODALITIES)}.",
        table(("Array", "Axes", "Type", "Meaning"), arrays),
        "## Stages",
        STAGES,
        table(("Array", "Axes", "Type", "Meaning"), stages),
        "## Pictures",
        PICTURES,
        "## Versions",
        VERSIONS,
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(head, rows):
    """Return a markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
