"""`python -m aiplat.services.portal`: reads the command line and starts; nothing else."""

from __future__ import annotations

import asyncio
import logging
import sys

from aiplat.errors import EXIT_BAD_INPUT, AiplatError
from aiplat.services.background import as_process
from aiplat.services.portal.serve import run
from aiplat.services.portal.settings import parse
from aiplat.services.request_id import log_to_stderr


def main() -> int:
    """Run the portal; returns its exit code: 0 after a signal, 2 for input that cannot be worked with."""
    settings = parse(sys.argv[1:])
    log_to_stderr()
    log = logging.getLogger("aiplat.portal")
    try:
        asyncio.run(as_process(run(settings)))
    except AiplatError as error:
        for finding in error.findings:
            log.critical("%s", finding)
        return error.exit_code
    except OSError as error:
        log.critical("%s", error)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        # uvicorn stops cleanly and then passes the signal on.
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
