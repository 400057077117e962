"""The API's command line; what the options mean for the rest is in serve."""

from __future__ import annotations

import argparse
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

DATABASE = "AIPLAT_DATABASE_URL"
PASSWORD_FILE = "AIPLAT_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a variable that names a file


@dataclass(frozen=True)
class ApiSettings:
    """How one API process runs. `database` None: a SQLite file in the site's state folder."""

    site: Path
    host: str = "127.0.0.1"
    port: int = 8445
    read_only: bool = False
    new_admin_key: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    database: str | None = None
    database_password_file: Path | None = None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiplat serve api",
        description="The control API of a site.",
        epilog=f"{DATABASE} names the database, {PASSWORD_FILE} a file with its password.",
    )
    parser.add_argument("site", type=Path, help="the site file")
    parser.add_argument("--host", default=ApiSettings.host, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=ApiSettings.port, help="(%(default)s; 0 takes a free one)"
    )
    parser.add_argument("--read-only", action="store_true", help="start no run, look at no host")
    parser.add_argument("--new-admin-key", action="store_true", help="make another admin key")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM; needed beyond loopback")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")
    return parser


def parse(arguments: list[str]) -> ApiSettings:
    """Return the settings of a command line and the environment; says what is wrong with them and exits 2."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    if given.tls_cert is None and not _is_loopback(given.host):
        parser.error(
            f"--host {given.host}: keys would cross the network in clear; add --tls-cert and --tls-key"
        )
    password = os.environ.get(PASSWORD_FILE)
    return ApiSettings(
        **vars(given),
        database=os.environ.get(DATABASE),
        database_password_file=Path(password) if password else None,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
