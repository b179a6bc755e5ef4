"""What goes into the wheel: tokviz, with the page as tokviz.components and assets as tokviz.assets.

In a checkout both folders stand beside tokviz; pyproject.toml can list packages or look for them,
but not put what it finds under another name.
"""

from setuptools import find_namespace_packages, find_packages, setup

BESIDE = ("components", "assets")
beside = find_namespace_packages(include=[f"{name}*" for name in BESIDE])
setup(
    packages=[*find_packages(include=["tokviz*"]), *(f"tokviz.{name}" for name in beside)],
    package_dir={f"tokviz.{name}": name for name in BESIDE},
)
