"""The last lines of `make test`: how many tests each part ran and how they ended."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

_COUNTED = ("tests", "failures", "errors", "skipped")


def tally(report: Path) -> tuple[str, bool]:
    """Return a line about one JUnit report of pytest, and whether all of it is well."""
    if not report.exists():
        return f"{report.stem}: no report, it did not come to its end", False
    suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314 - our own file of a minute ago
    if suite is None:
        return f"{report.stem}: an empty report", False
    ran, failed, broken, skipped = (int(suite.get(name, 0)) for name in _COUNTED)
    passed = ran - failed - broken - skipped
    minutes, seconds = divmod(round(float(suite.get("time", 0))), 60)
    said = f"{passed} of {ran} tests passed, {failed + broken} failed, {skipped} skipped"
    return f"{report.stem}: {said}, {minutes} min {seconds} s", ran > 0 and not failed + broken


def main() -> int:
    """Print a line for every report named; returns 1 where one is missing or tells of a failure."""
    lines = [tally(Path(name)) for name in sys.argv[1:]]
    sys.stdout.writelines(f"{line}\n" for line, _ in lines)
    return 0 if all(well for _, well in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
