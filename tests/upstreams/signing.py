"""Signs indexes with a key made for the test, by gpg itself."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Signer:
    """A key of its own, in a folder of its own."""

    def __init__(self, folder: Path, name: str = "archive") -> None:
        # gpg's agent wants a short path for its socket.
        self.home = folder / f"g-{name[:3]}"
        self.home.mkdir(mode=0o700, parents=True)
        uid = f"{name} <{name}@example.org>"
        self._gpg("--passphrase", "", "--quick-generate-key", uid, "ed25519", "sign", "never")
        listed = self._gpg("--list-keys", "--with-colons").decode()
        self.fingerprint = next(ln.split(":")[9] for ln in listed.splitlines() if ln.startswith("fpr"))
        self.armoured = self._gpg("--armor", "--export")
        self.binary = self._gpg("--export")

    def clear(self, text: bytes) -> bytes:
        """Return a text with its signature around it."""
        return self._gpg("--clear-sign", text=text)

    def detached(self, data: bytes) -> bytes:
        """Return the signature alone."""
        return self._gpg("--armor", "--detach-sign", text=data)

    def stop(self) -> None:
        """End the agent that gpg started."""
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False, capture_output=True)

    def _gpg(self, *arguments: str, text: bytes = b"") -> bytes:
        base = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        return subprocess.run([*base, *arguments], input=text, capture_output=True, check=True).stdout
