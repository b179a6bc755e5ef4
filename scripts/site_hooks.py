"""What mkdocs is told about this repository: pages outside docs/, and links that leave it.

README, CONTRIBUTING, SECURITY and the model card are read where they are, so that nothing is
written twice. A link to a file that is no page of the site becomes the file's name.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "embedded_model.md": "assets/model/README.md",
}
"""Page of the site -> file of the repository."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
FRONT = re.compile(r"\A---\n.*?\n---\n", re.S)


def on_files(files, config):
    """Add the pages that lie outside docs/."""
    for page, source in PAGES.items():
        text = FRONT.sub("", (ROOT / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links to where the site has their targets, and drop a mark meant for the tests."""
    uri = page.file.src_uri
    home = posixpath.dirname(PAGES.get(uri, f"docs/{uri}"))
    on_site = {source: name for name, source in PAGES.items()}
    on_site |= {f"docs/{file.src_uri}": file.src_uri for file in files if file.src_uri not in PAGES}
    on_site["README.md"] = "index.md"

    def moved(match):
        text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(home, target))
        if path in on_site:
            return f"[{text}]({on_site[path]}{anchor or ''})"
        if not (ROOT / path).exists():
            return match[0]  # mkdocs says that it leads nowhere
        return text if text.startswith("`") else f"{text} (`{path}`)"

    return LINK.sub(moved, markdown).replace("```python no-run", "```python")
