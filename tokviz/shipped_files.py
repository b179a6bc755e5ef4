"""Where the files that come with tokviz lie: the embedded model, examples, scripts and styles.

In a checkout they lie in `assets/` beside the package, in an installed tokviz in `tokviz/assets/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
INSTALLED = (_PACKAGE / "assets").is_dir()
"""Whether this tokviz was installed; False = it is a checkout."""
ASSETS = (_PACKAGE if INSTALLED else _PACKAGE.parent) / "assets"
"""The folder."""
