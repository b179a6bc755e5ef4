"""The folder of the files that come with tokviz: embedded model, examples, scripts and styles.

In a checkout it is `assets/` beside the package, in an installed tokviz `tokviz/assets/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
INSTALLED = (_PACKAGE / "assets").is_dir()
"""True = an installed tokviz, False = a checkout."""
ASSETS = (_PACKAGE if INSTALLED else _PACKAGE.parent) / "assets"
"""The folder."""
