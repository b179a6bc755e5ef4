"""docs/trained.md: trained methods, what each does to tokens, and how to bring in its decisions."""

import csv
import re
from pathlib import Path

from scripts.method_pages import table
from tokviz.errors import InputError
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS

TRAINED = Path(__file__).parents[1] / "docs" / "trained.tsv"
EXPORTS = {
    "kept": "[tokens that stay](#tokens-that-stay-layer-by-layer)",
    "groups": "[groups](#groups-of-tokens)",
    "rows": "[a matrix](#any-weights)",
    "none": "nothing to export",
}
"""Value of the column `export` -> the words in the table."""
NOT_FOUND = "not found"
"""Value of the column `code` where no official repository could be found."""
HEAD = """# Trained methods

A trained method cannot run on a model that was not trained for it. This page says what each does to
the visual tokens, which live method here is nearest to it (the idea alone, on the model as it is),
and which recipe below writes its decisions to a file. Such a file opens in the page like a trace:
put the picture in first, then give the file to "Open a trace file". A licence is that of the
official code, as its repository stated it when it was read; "none stated" = the repository has
none.

Written from `docs/trained.tsv` by `make docs`.
"""
RECIPES = """## Write what it decided

Run the method in its own environment, with its own weights, and write one file per picture. `n` is
the number of visual tokens before anything was done; tokens are numbered 0 to n - 1 in every stage.
docs/imports.md has every field. Each recipe is complete: put your arrays in the place of the
numbers.

### Tokens that stay, layer by layer

For methods that remove tokens (CoViPAL, ATP-LLaVA, GlimpsePrune, p-MoD):

```python
import json

n, kept_before_layer = 576, {2: [3, 17, 30, 90], 4: [17, 90]}
stages = [
    {"layer": layer, "kept": sorted(kept)} for layer, kept in sorted(kept_before_layer.items())
]
decisions = {"method": "CoViPAL", "n": n, "prompt": "what is this ?", "stages": stages}
text = json.dumps(decisions)  # pathlib.Path("covipal.json").write_text(text)
```

### Groups of tokens

For methods that pool or merge (TokenFLEX, M3, PYRA):

```python
import json

rows = cols = 24
groups = [
    [r * cols + c for r in (y, y + 1) for c in (x, x + 1)]
    for y in range(0, rows, 2)
    for x in range(0, cols, 2)
]
decisions = {"method": "TokenFLEX", "n": rows * cols, "grid": [rows, cols], "groups": groups}
text = json.dumps(decisions)
```

### Any weights

For learned weights (TokenPacker, VoCo-LLaMA, slots): entries of the matrix from the n tokens to the
new ones, and for each new token the token whose place it takes:

```python
import json

weights = [[0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]  # [new tokens, n]
entries = [(i, j, w) for i, row in enumerate(weights) for j, w in enumerate(row) if w]
rows, cols, values = map(list, zip(*entries))
place = [max(range(len(row)), key=row.__getitem__) for row in weights]
decisions = {"method": "TokenPacker", "n": 4, "rows": rows, "cols": cols, "weights": values}
text = json.dumps(decisions | {"position": place})
```

`python -m scripts.export_trained` does this for two stand-ins, a removal by layers and a learned
pooling, whose scores are the contrast of the picture; `assets/imports` holds what it wrote, as
decisions and as traces.

To run decisions on a model here, see [imports](imports.md): each stage is carried out before its
own layer, and what lies beyond the model's last layer is left out with a note.
"""


def methods():
    """Return the rows of the table; raise InputError for one that is unknown or incomplete."""
    with TRAINED.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        if row["here"] and row["here"] not in METHODS and row["here"] not in MITIGATIONS:
            raise InputError(f"docs/trained.tsv names {row['here']!r}, which is not there.")
        if row["export"] not in EXPORTS:
            raise InputError(f"export must be one of {', '.join(EXPORTS)}, got {row['export']!r}.")
        check_code(row)
    return rows


def check_code(row):
    """Raise InputError unless a row names a repository and its licence, or that none was found."""
    if row["code"] == NOT_FOUND:
        if row["licence"]:
            raise InputError(f"{row['name']} has a licence in docs/trained.tsv but no repository.")
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", row["code"]) or not row["licence"]:
        raise InputError(
            f"{row['name']} needs code as owner/name and a licence, or code = {NOT_FOUND!r}, in "
            f"docs/trained.tsv; got {row['code']!r} and {row['licence']!r}."
        )


def without_code(rows):
    """Return the sentence on the methods whose repository was not found; "" if there are none."""
    names = [row["name"] for row in rows if row["code"] == NOT_FOUND]
    return f"No official repository was found for {', '.join(names)}." if names else ""


def cells(row):
    """Return the cells of one method."""
    page = "methods.md" if row["here"] in METHODS else "mitigation_methods.md"
    here = f"[`{row['here']}`]({page}#{row['here']})" if row["here"] else ""
    link = f"[{row['code']}](https://github.com/{row['code']}), {row['licence']}"
    code = NOT_FOUND if row["code"] == NOT_FOUND else link
    return [row["name"], row["does"], here, EXPORTS[row["export"]], code]


def page():
    """Return docs/trained.md."""
    heads = ["Method", "What it does to the visual tokens", "Nearest here", "Export", "Code"]
    rows = methods()
    parts = (HEAD, table(heads, [cells(row) for row in rows]), without_code(rows), RECIPES)
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
