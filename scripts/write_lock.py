"""Write requirements.lock: every package that requirements.txt brings, with version and hashes.

    python -m scripts.write_lock

pip resolves requirements.txt here, held to the versions that are installed here and were tested;
then it looks up, for each Python that we support, which file it would take on Linux x86-64. Only
names, versions and hashes are written, no addresses. torch has no hash: here and on many machines
it is a build of its own (CPU only), so its file is not the one on PyPI.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13")
GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
PLATFORMS = ("linux_x86_64", *(f"manylinux_{one}_x86_64" for one in GLIBC),
             "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64")  # fmt: skip
UNHASHED = ("torch",)
HEAD = """\
# Every package that requirements.txt brings, with the hashes of its files for CPython 3.11 to 3.13
# on Linux x86-64. Written by  python -m scripts.write_lock  ; do not edit. `make audit` reads it.
#
# Without a hash, by name and version only: torch. The file that pip takes depends on the machine
# (CPU build or CUDA build). The CUDA build brings NVIDIA's libraries along; they are not in here,
# and neither are they audited.
#
# To install exactly this:  pip install torch==VERSION  first, then
# pip install --require-hashes -r requirements.lock  without the line of torch.
"""


def pip_report(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return what pip would install, without installing it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
             "--report", str(report), *arguments],
            check=True, cwd=ROOT,
        )  # fmt: skip
        return json.loads(report.read_text())["install"]


def name_of(item: Mapping[str, Any]) -> str:
    """Return a package's name in its one spelling."""
    return canonicalize_name(item["metadata"]["name"])


def public(version: str) -> str:
    """Return a version without the tag of a local build: 2.13.0+cpu -> 2.13.0."""
    return version.split("+")[0]


def resolved() -> list[dict[str, Any]]:
    """Return everything that requirements.txt brings on this Python."""
    pinned = {Requirement(line).name for line in requirement_lines(ROOT / "requirements.txt")}
    tested = {canonicalize_name(d.name): d.version for d in distributions() if d.name}
    held = [f"{n}=={v}" for n, v in sorted(tested.items()) if n not in pinned and "+" not in v]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(held))
        file.flush()
        return pip_report(["--constraint", file.name, "-r", "requirements.txt"])


def requirement_lines(path: Path) -> list[str]:
    """Return the lines of a requirements file that name a package."""
    lines = (line.split("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def only_elsewhere(items: Iterable[Mapping[str, Any]], known: Iterable[str]) -> dict[str, str]:
    """Return packages that only another Python needs: name -> requirement with its marker."""
    found = {}
    for item in items:
        for text in item["metadata"].get("requires_dist", ()):
            needed = Requirement(text)
            fits = [python for python in PYTHONS if needed.marker and _fits(needed, python)]
            if fits and canonicalize_name(needed.name) not in known:
                marker = " or ".join(f"python_version == '{python}'" for python in fits)
                found[canonicalize_name(needed.name)] = f"{needed.name}{needed.specifier}; {marker}"
    return found


def _fits(needed: Requirement, python: str) -> bool:
    there = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    here = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    return needed.marker is not None and needed.marker.evaluate(there | here)


def files_for(python: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Return the file of each package that pip would take on one Python."""
    flags = [flag for one in PLATFORMS for flag in ("--platform", one)]
    # Without --ignore-requires-python pip holds each file against the Python that runs pip.
    return pip_report([
        "--no-deps", "--ignore-requires-python", "--target", tempfile.gettempdir(),
        "--python-version", python, "--implementation", "cp", *flags, *wanted,
    ])  # fmt: skip


def lock_text() -> str:
    """Return the lock file."""
    items = resolved()
    versions = {name_of(item): public(item["metadata"]["version"]) for item in items}
    markers = dict.fromkeys(versions, "")
    hashes: dict[str, set[str]] = {name: set() for name in versions}
    elsewhere = only_elsewhere(items, versions)
    for python in PYTHONS:
        more = [text for text in elsewhere.values() if _fits(Requirement(text), python)]
        pins = [f"{n}=={v}" for n, v in versions.items() if not markers.get(n)]
        wanted = [pin for pin in pins if pin.split("==")[0] not in UNHASHED]
        for item in files_for(python, [*wanted, *(text.split(";")[0] for text in more)]):
            name = name_of(item)
            versions.setdefault(name, public(item["metadata"]["version"]))
            if name in elsewhere:
                markers[name] = " ; " + elsewhere[name].split("; ")[1]
            found = item["download_info"]["archive_info"]["hashes"]["sha256"]
            hashes.setdefault(name, set()).add(found)
    return HEAD + "".join(
        entry(name, versions[name] + markers.get(name, ""), hashes[name])
        for name in sorted(versions)
    )


def entry(name: str, version: str, hashes: set[str]) -> str:
    """Return one package's lines."""
    parts = [f"{name}=={version}", *(f"    --hash=sha256:{one}" for one in sorted(hashes))]
    return " \\\n".join(parts) + "\n"


def read_lock(path: Path = LOCK) -> dict[str, tuple[str, int]]:
    """Return name -> (version, number of hashes) of a lock file."""
    text = re.sub(r"^#.*\n", "", path.read_text("utf-8"), flags=re.M).replace("\\\n", " ")
    found = {}
    for line in filter(str.strip, text.splitlines()):
        pin = Requirement(line.split(" --hash")[0].strip())
        version = str(pin.specifier).removeprefix("==")
        found[canonicalize_name(pin.name)] = (version, line.count("--hash=sha256:"))
    return found


if __name__ == "__main__":
    LOCK.write_text(lock_text(), "utf-8")
