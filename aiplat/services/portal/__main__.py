"""`python -m aiplat.services.portal`: reads the command line and starts; nothing else."""

from __future__ import annotations

import sys

from aiplat.services.background import exit_code_of
from aiplat.services.portal.serve import run
from aiplat.services.portal.settings import parse


def main() -> int:
    """Run the portal; returns its exit code: 0 after a signal, 2 for input that cannot be worked with."""
    return exit_code_of("aiplat.portal", run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
