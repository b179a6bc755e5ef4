"""Stores runs of flipped questions, which the links of a report open in the lab.

    OUT/traces/sweep-<question>.safetensors             all tokens
    OUT/traces/sweep-<question>--0-<method>.safetensors  the settings that changed the answer

The lab shows them as examples when TOKVIZ_EXAMPLES names the folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from tqdm.auto import tqdm

from tokviz.errors import TokvizError
from tokviz.models import VLM, load
from tokviz.sweeps.films import shown
from tokviz.sweeps.question import digest
from tokviz.sweeps.row_store import Store
from tokviz.sweeps.rows import Row, choice_of, images_of
from tokviz.sweeps.setting import Setting
from tokviz.sweeps.summary import flipped, turn
from tokviz.sweeps.worker import Terms

LANES = 3
"Number of lanes in the lab's compare panel."
FOLDER = "traces"


def store_flips(
    rows: Sequence[Row],
    settings: Sequence[Setting],
    terms: Terms,
    store: Store,
    most: int,
    progress: bool = False,
) -> dict[str, tuple[str, int]]:
    """Run the first flipped questions again and record everything that the lab shows.

    Args:
        rows: of a sweep.
        settings: of the same sweep.
        terms: of the same sweep.
        store: its folder.
        most: largest number of questions; 0 = none.
        progress: show a bar on stderr.

    Returns:
        Row key -> (name of the stored run, its lane).
    """
    groups: dict[tuple[str, str], list[tuple[Row, Row]]] = defaultdict(list)
    for full, row in flipped(rows):
        groups[row["model"], row["question"]].append((full, row))
    chosen = sorted(list(groups.items())[:most])
    links: dict[str, tuple[str, int]] = {}
    notes: list[dict[str, str]] = []
    model: tuple[str, VLM] | None = None
    hidden = not (progress and chosen)
    for (name, question), pairs in tqdm(chosen, "runs for the lab", unit="run", disable=hidden):
        if model is None or model[0] != name:
            model = (name, load(name, **terms.loading))
        run = f"sweep-{question[:12]}-{digest(name)[:6]}"
        for lane, (_, row) in enumerate(pairs[:LANES]):
            links[row["key"]] = (run, lane)
        own = [row for _, row in pairs[:LANES]]
        try:
            _store(model[1], run, [pairs[0][0], *own], settings, terms, store)
        except TokvizError:
            links = {key: link for key, link in links.items() if link[0] != run}
            continue
        truth = own[0]["truth"]
        note = f"Right answer: {truth}." if truth else ""
        notes.append({"name": run, "tag": turn(*pairs[0]) or "changed", "note": note})
    if notes:
        store.write(f"{FOLDER}/index.json", json.dumps(notes, indent=1).encode())
    return links


def _store(
    vlm: VLM, name: str, rows: Sequence[Row], settings: Sequence[Setting], terms: Terms,
    store: Store,
) -> None:  # fmt: skip
    """Write the missing traces of one question; delete those of former lanes."""
    files = {
        f"{name}--{lane}-{row['method'] or row['mitigation']}-{row['key'][:8]}.safetensors"
        if lane >= 0
        else f"{name}.safetensors": row
        for lane, row in enumerate(rows, -1)
    }
    for path in (store.folder / FOLDER).glob(f"{name}--*"):
        if path.name not in files:
            path.unlink()
    for file, row in files.items():
        path = store.folder / FOLDER / file
        if not path.exists():
            setting = next(s for s in settings if s.matches(row))
            plan = setting.plan(row["visual_tokens"])
            images = shown(images_of(row), choice_of(row))
            trace = vlm.answer(images, row["prompt"], plan, terms.max_new_tokens)
            store.write(f"{FOLDER}/{path.name}", trace.to_bytes())
