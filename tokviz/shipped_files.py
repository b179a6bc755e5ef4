"""Where the files that come with tokviz lie: the embedded model, examples, scripts and styles.

In a checkout they lie in `assets/` beside the package, in an installed tokviz in `tokviz/assets/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "assets"
ASSETS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "assets"
"""The folder."""
