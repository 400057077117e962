"""The portal's command line; what the options mean for the rest is in serve."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

DATABASE = "AIPLAT_DATABASE_URL"
PASSWORD_FILE = "AIPLAT_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a variable that names a file


@dataclass(frozen=True)
class PortalSettings:
    """How one portal process runs. `kubeconfig` None: as a pod."""

    site: str
    host: str
    port: int
    health_port: int
    gateway: str
    gateway_ca: Path | None
    url: str
    token_file: Path
    components: Path | None
    namespace: str
    prometheus: str
    kubeconfig: Path | None
    insecure_cookie: bool
    sign_in: Path | None
    sign_in_client: Path | None
    database: str
    database_password_file: Path | None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiplat-portal",
        description="Pages for the people of a site.",
        epilog=f"{DATABASE} names the database, {PASSWORD_FILE} a file with its password.",
    )
    parser.add_argument("--site", required=True, help="the site's name, as pages show it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="(%(default)s)")
    parser.add_argument("--health-port", type=int, default=9090, help="(%(default)s)")
    parser.add_argument("--gateway", required=True, metavar="URL", help="the gateway, with /v1")
    parser.add_argument("--gateway-ca", type=Path, metavar="FILE", help="PEM of the CA that vouches for it")
    parser.add_argument("--url", required=True, help="the gateway as people's programs reach it, with /v1")
    parser.add_argument(
        "--token-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="the secret that sessions are sealed with",
    )
    parser.add_argument("--components", type=Path, metavar="FILE", help="JSON: what the site runs")
    parser.add_argument("--sign-in", type=Path, metavar="FILE", help="JSON: the site's sign-in by name")
    parser.add_argument(
        "--sign-in-client", type=Path, metavar="FOLDER", help="the portal's client there: id, secret, CA"
    )
    parser.add_argument(
        "--namespace", default="aiplat-user-serving", help="where reports of runs are kept (%(default)s)"
    )
    parser.add_argument("--prometheus", default="", metavar="URL", help="whose alerts operators are shown")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="outside of a cluster")
    parser.add_argument(
        "--insecure-cookie",
        action="store_true",
        help="for a browser that comes without TLS; on loopback only",
    )
    return parser


def parse(arguments: list[str]) -> PortalSettings:
    """Return the settings of a command line and the environment; says what is wrong with them and exits 2."""
    parser = _parser()
    given = parser.parse_args(arguments)
    url = os.environ.get(DATABASE)
    if not url:
        parser.error(f"{DATABASE} names no database")
    password = os.environ.get(PASSWORD_FILE)
    return PortalSettings(
        **vars(given), database=url, database_password_file=Path(password) if password else None
    )
