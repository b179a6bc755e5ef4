"""Rewrite the generated tables in README.md: python -m scripts.write_docs

A table stands between <!-- methods --> and <!-- /methods -->, and so on for every list of
`tokviz.catalog`. A test fails when a table is not what this script would write.
"""

import re
from pathlib import Path

from tokviz import catalog

README = Path(__file__).parents[1] / "README.md"


def filled(text, name, block):
    """Return the text with the block between the markers of that name replaced."""
    pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    replaced, found = pattern.subn(lambda match: f"{match[1]}{block}\n{match[2]}", text)
    if found != 1:
        raise SystemExit(f"README.md must have the markers <!-- {name} --> once, found {found}.")
    return replaced


def readme(text):
    """Return README.md with every generated table brought up to date."""
    for name in catalog.LISTS:
        text = filled(text, name, catalog.markdown(name))
    return text


def main():
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {README.name}")


if __name__ == "__main__":
    main()
