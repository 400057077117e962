"""`make journey NAME=…`: runs a journey that is not part of `make test` and keeps its result in docs/."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.tally import tally

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "journeys.md"


def names() -> list[str]:
    """Return the journeys there are: files whose tests carry the mark `journey`."""
    found = HERE.glob("test_*.py")
    return sorted(p.stem.removeprefix("test_") for p in found if "pytest.mark.journey" in p.read_text())


def row(name: str, result: str, day: datetime) -> str:
    """Return the line of the page for a result such as `9 of 9 tests passed, …`."""
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    return f"| {name} | {day:%Y-%m-%d} | {result} | {release}, Linux {platform.release()} |"


def kept(page: str, line: str) -> str:
    """Return the page with a journey's line in place of its former one, lines by name."""
    name = line.split("|")[1]
    head, rows = page[: page.index("|---")], page[page.index("|---") :].splitlines()
    others = [r for r in rows[1:] if r.startswith("|") and r.split("|")[1] != name]
    return head + "\n".join([rows[0], *sorted([*others, line])]) + "\n"


def main() -> int:
    """Run the journey named and write what came of it; returns pytest's exit code."""
    name = next(iter(sys.argv[1:]), "")
    if name not in names():
        sys.stderr.write(f"NAME={name or '?'}: there is no such journey; there are: {', '.join(names())}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / f"{name}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "journey", f"--junit-xml={report}"]
        code = subprocess.run([*command, str(HERE / f"test_{name}.py")], check=False).returncode
        result = re.sub(r"^[^:]*: ", "", tally(report)[0])
    PAGE.write_text(kept(PAGE.read_text(), row(name, result, datetime.now(UTC))))
    sys.stdout.write(f"{name}: {result} (kept in {PAGE.relative_to(HERE.parents[1])})\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
