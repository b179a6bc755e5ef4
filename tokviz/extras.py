"""The command that installs an optional package.

The distribution is called tokviz-lab; another project owns the name tokviz on PyPI.
"""

from tokviz.shipped_files import INSTALLED

DISTRIBUTION = "tokviz-lab"
REQUIRED = ("numpy", "PIL", "torch", "transformers", "tokenizers", "safetensors", "plotly", "tqdm")
"""Modules of packages that tokviz cannot do without."""


def how_to_install(extra: str) -> str:
    """Return the command that adds an extra of pyproject.toml, for the end of a sentence.

    In a checkout the packages of the checkout's extra are installed. Where tokviz is installed
    already, pip adds what is missing and fetches no tokviz.
    """
    if INSTALLED:
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    return f"pip install '.[{extra}]' in the folder of the checkout"


def lacking(package: str) -> str:
    """Return the sentence for a package that tokviz cannot do without and this Python lacks."""
    if INSTALLED:
        return f"the package {package} is not installed for this Python: pip install {package}."
    return (
        f"the package {package} is not installed for this Python. In the folder of the checkout, "
        "pip install . brings all that is needed; after `make run` .venv/bin/python -m tokviz does."
    )
