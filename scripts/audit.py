"""Look every package of requirements.lock up in the public list of known weaknesses.

    python -m scripts.audit

Exit status: 0 all were looked up and nothing is known, 1 something is known, 2 not audited: the
list could not be reached, or does not know a package. pip-audit's own `--strict` stops at the first
such package and says nothing of the others, so that rule is kept here, for each package.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from scripts.write_lock import read_lock

FOUND, NOT_AUDITED = 1, 2


def ask(pins: Mapping[str, str]) -> tuple[str, str]:
    """Return what pip-audit prints about these versions: (JSON, messages)."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps",
             "--disable-pip", "--format", "json", "--progress-spinner", "off"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout, done.stderr


def verdict(pins: Mapping[str, str], printed: str, messages: str) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print."""
    try:
        told: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (messages.strip().splitlines() or ["pip-audit said nothing"])[-1][:300]
        return NOT_AUDITED, [f"not audited: {last}"]
    seen = {one["name"].lower().replace("_", "-"): one for one in told}
    lines, known, unseen = [], 0, defaultdict(list)
    for name, version in pins.items():
        one = seen.get(name, {"skip_reason": "pip-audit left it out"})
        if "vulns" not in one:
            reason = str(one.get("skip_reason", "no reason given"))
            unseen[reason.removesuffix(f": {name} ({version})")].append(name)
            continue
        for weakness in one["vulns"]:
            known += 1
            mended = ", ".join(weakness.get("fix_versions", ())) or "no version yet"
            lines.append(f"{name} {version}: {weakness['id']}, mended in {mended}")
    for reason, names in unseen.items():
        lines.append(f"not audited: {', '.join(names)}: {reason}")
    looked_up = len(pins) - sum(map(len, unseen.values()))
    lines.append(f"{looked_up} of {len(pins)} packages audited, {known} known weaknesses.")
    status = FOUND if known else NOT_AUDITED if looked_up < len(pins) else 0
    return status, lines


def main() -> int:
    """Audit the lock file and print what was found."""
    pins = {name: version for name, (version, _) in read_lock().items()}
    status, lines = verdict(pins, *ask(pins))
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
