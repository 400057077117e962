"""`python -m aiplat.services.api`: reads the command line and starts; nothing else."""

from __future__ import annotations

import sys

from aiplat.services.api.serve import run
from aiplat.services.api.settings import parse
from aiplat.services.background import exit_code_of


def main() -> int:
    """Run the API; returns its exit code: 0 after a signal, 2 for input that cannot be worked with."""
    return exit_code_of("aiplat.api", run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
