"""The company's provider on a lab's host: what it is told, how it is started, and its CA."""

from __future__ import annotations

import base64
import json
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from aiplat.vault.pki import KeyPair, issue, make_ca
from tests.e2e.journey import Journey
from tests.patience import eventually

_PORT = 8444
_FOLDER = "/run/company"


@dataclass(frozen=True)
class Company:
    """A provider at an address of the lab; its one person is in these groups of the claim `roles`."""

    address: str
    authority: KeyPair
    key: rsa.RSAPrivateKey
    client: str = "ward"
    secret: str = "a-secret-of-the-companys"
    command_line: str = "ward-cli"

    @property
    def issuer(self) -> str:
        """The issuer as its discovery document has it."""
        return f"https://{self.address}:{_PORT}/realms/x"

    def starts(self, ward: Journey, redirect_uris: dict[str, list[str]], groups: list[str]) -> None:
        """Start it on the site's server, in place of one that runs; addresses are by the clients' ids."""
        key = self.key.private_numbers()
        settings: dict[str, Any] = {
            "issuer": self.issuer,
            "port": _PORT,
            "clients": redirect_uris,
            "secrets": {self.client: self.secret},
            "key": {"n": key.public_numbers.n, "e": key.public_numbers.e, "d": key.d},
            "claims": {"sub": "7", "preferred_username": "ida", "roles": groups},
        }
        certificate = issue(self.authority, "company", [self.address])
        files = {
            "provider.py": Path(__file__).with_name("company_provider.py").read_text(),
            "settings.json": json.dumps(settings),
            "tls.crt": certificate.crt,
            "tls.key": certificate.key,
        }
        ward.on_host(f"systemctl stop company; mkdir -p -m 700 {_FOLDER}; true")
        for name, text in files.items():
            content = base64.b64encode(text.encode()).decode()
            ward.on_host(f"echo {shlex.quote(content)} | base64 -d > {_FOLDER}/{name}")
        ward.on_host(f"systemd-run --unit company --collect python3 {_FOLDER}/provider.py {_FOLDER}")
        assert eventually(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex((self.address, _PORT)) == 0


def company(address: str) -> Company:
    """Return the company, with a CA and a key of its own."""
    return Company(address, make_ca("company"), rsa.generate_private_key(65537, 2048))
