"""Rewrite what is generated in README.md and docs/: python -m scripts.write_docs

A list stands between <!-- methods --> and <!-- /methods -->, and so on for all LISTS of the README;
whole pages are in PAGES. A test fails when one is not what this script writes.
"""

import re
from functools import partial
from pathlib import Path

from scripts import (
    accuracy_page,
    compared_page,
    family_page,
    list_pages,
    method_pages,
    prefill_page,
    record_page,
    sweep_page,
    trace_page,
    trained_page,
)
from tokviz import catalog

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = {
    "docs/methods.md": method_pages.methods_page,
    "docs/signals.md": method_pages.signals_page,
    "docs/accuracy.md": accuracy_page.page,
    "docs/prefills.md": prefill_page.page,
    "docs/families.md": family_page.page,
    "docs/record.md": record_page.page,
    "docs/compared.md": compared_page.page,
    "docs/trained.md": trained_page.page,
    "docs/sweep_rows.md": sweep_page.page,
    "docs/trace_format.md": trace_page.page,
    "docs/analyses.md": list_pages.analyses_page,
    "docs/mitigation_methods.md": list_pages.mitigations_page,
    "docs/models.md": list_pages.models_page,
}
"""Pages that are generated as a whole."""
LISTS = {
    "methods": list_pages.methods_by_place,
    "others": list_pages.others,
    "families": partial(catalog.markdown, "families"),
}
"""Lists in the README, by the name in their markers."""


def filled(text, name, block):
    """Return the text with the block between the markers of that name replaced."""
    pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    replaced, found = pattern.subn(lambda match: f"{match[1]}{block}\n{match[2]}", text)
    if found != 1:
        raise SystemExit(f"README.md must have the markers <!-- {name} --> once, found {found}.")
    return replaced


def readme(text):
    """Return README.md with every generated list brought up to date."""
    for name, block in LISTS.items():
        text = filled(text, name, block())
    return text


def main():
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
    print(f"wrote {', '.join([README.name, *PAGES])}")


if __name__ == "__main__":
    main()
