"""docs/sweep_rows.md: what each column of a sweep's table holds, from `tokviz.sweeps.rows`."""

from scripts.trace_page import table
from tokviz.sweeps.rows import COLUMNS, MEASURED

INTRO = """# The rows of a sweep

Written from `tokviz/sweeps/rows.py` by `make docs`; do not edit.

`rows.parquet` holds one row per question, model and setting (method, budget and mitigation; the
full answer is the setting without any). Rows are known by `key`: the same pictures' bytes,
question, model files and options give the same key, so a row that is there is not measured again.
Every engine writes the same rows; only the columns marked † depend on the machine and the moment.
`tokviz.sweeps.row_store.read_result` reads the file, and so does pandas:

```python no-run
import pandas

rows = pandas.read_parquet("sweep/rows.parquet")
print(rows.groupby(["method", "budget"])[["score", "same", "kl", "seconds_first_token"]].mean())
```
"""
LAYOUT = """## The folder

| File | What it holds |
| --- | --- |
| `rows.parquet` | all rows of the last finished sweep, written whole or not at all |
| `report.html` | the report page: one file, no network |
| `parts/0001.jsonl` ... | rows as they were measured, a JSON object per line; a part per start |
| `traces/` | runs of flipped questions for the lab (`--traces N`) |
| `images/` | pictures of a Hugging Face data set |
| `lock` | held by the process that writes here |

A row stands on the disk before the next question begins. What was killed or stopped goes on with
the same command; a row that failed for want of memory or by a mistake in a method (`again`) is
tried anew.
"""


def page():
    """Return the whole page."""
    lines = [
        (f"`{name}`{' †' if name in MEASURED else ''}", column.kind, column.meaning)
        for name, column in COLUMNS.items()
    ]
    parts = [INTRO, "## Columns", table(("Column", "Type", "Meaning"), lines), LAYOUT]
    return "\n\n".join(part.strip() for part in parts) + "\n"
