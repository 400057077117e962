"""`python -m aiplat.services.gateway`: reads the command line and starts; nothing else."""

from __future__ import annotations

import logging
import sys

import uvloop

from aiplat.errors import AiplatError
from aiplat.services.background import as_process
from aiplat.services.gateway.serve import run
from aiplat.services.gateway.settings import parse
from aiplat.services.request_id import log_to_stderr


def main() -> int:
    """Run the gateway; returns its exit code: 0 after a signal, 2 for input that cannot be worked with."""
    log_to_stderr()
    try:
        uvloop.run(as_process(run(parse(sys.argv[1:]))))
    except AiplatError as error:
        sys.stderr.writelines(f"{finding}\n" for finding in error.findings)
        return error.exit_code
    except (OSError, ValueError) as error:
        logging.getLogger("aiplat.gateway").critical("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
