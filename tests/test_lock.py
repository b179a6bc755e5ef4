"""The lock file names every package that is installed, and an audit that saw nothing says so."""

import json
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import audit
from scripts.write_lock import LOCK, ROOT, UNHASHED, public, read_lock, requirement_lines

PINS = {"six": "1.17.0", "idna": "3.20"}


def brought(name, extras, found):
    """Add everything that a package needs on this machine, itself included."""
    key = (canonicalize_name(name), frozenset(extras))
    if key in found:
        return
    found.add(key)
    try:
        needed = map(Requirement, requires(name) or ())
    except PackageNotFoundError:
        return
    for one in needed:
        inside = [{"extra": extra} for extra in ("", *extras)]
        if one.marker is None or any(one.marker.evaluate(extra) for extra in inside):
            brought(one.name, one.extras, found)


def test_the_lock_has_every_package_that_the_requirements_bring():
    found = set()
    for line in requirement_lines(ROOT / "requirements.txt"):
        pin = Requirement(line)
        brought(pin.name, pin.extras, found)
    names = {name for name, _ in found}
    foreign = {name for name in names if name.startswith(("nvidia-", "cuda-")) or name == "triton"}
    assert len(names) > 40
    assert names - foreign <= set(read_lock())


def test_the_lock_has_the_versions_of_the_requirements():
    lock = read_lock()
    for line in requirement_lines(ROOT / "requirements.txt"):
        pin = Requirement(line)
        assert str(pin.specifier) == f"=={lock[canonicalize_name(pin.name)][0]}"


def test_every_package_has_hashes_and_no_file_of_a_machine_is_named():
    lock = read_lock()
    assert {name for name, (_, hashes) in lock.items() if not hashes} == set(UNHASHED)
    assert all(version == public(version) for version, _ in lock.values())
    assert not any(sign in LOCK.read_text("utf-8") for sign in ("://", "file:", "index-url"))


def told(*dependencies):
    return json.dumps({"dependencies": list(dependencies)})


CLEAN = [{"name": name, "version": version, "vulns": []} for name, version in PINS.items()]
WEAK = {"id": "CVE-1", "fix_versions": ["3.21"]}


@pytest.mark.parametrize(
    ("printed", "messages", "status", "said"),
    [
        (told(*CLEAN), "", 0, "2 of 2 packages audited, 0 known weaknesses."),
        (told(CLEAN[0], CLEAN[1] | {"vulns": [WEAK]}), "", 1, "idna 3.20: CVE-1, mended in 3.21"),
        ("", "ERROR: no connection", 2, "not audited: ERROR: no connection"),
        ("", "", 2, "not audited: pip-audit said nothing"),
        (told(), "", 2, "not audited: six, idna: pip-audit left it out"),
        (told(CLEAN[0]), "", 2, "not audited: idna: pip-audit left it out"),
        (
            told(CLEAN[0], {"name": "idna", "skip_reason": "unknown: idna (3.20)"}),
            "",
            2,
            "idna: unknown\n",
        ),
    ],
)
def test_an_audit_says_what_it_saw(printed, messages, status, said):
    found, lines = audit.verdict(PINS, printed, messages)
    assert found == status
    assert said in "\n".join(lines)


def test_an_audit_without_a_network_says_not_audited(monkeypatch, capsys):
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(audit, "read_lock", lambda: {"six": ("1.17.0", 1)})
    assert audit.main() == 2
    assert capsys.readouterr().out.startswith("not audited: ")
