"""Run in a network namespace of its own: a lab of two hosts behind a forward chain that drops everything."""

from __future__ import annotations

import json
import subprocess

from aiplat.lab import lab_down, lab_up, ssh_argv
from tests.lab_driver.sites import site

NAME = "t-lab-drop"


def _rules() -> int:
    listing = subprocess.run(
        ["nft", "list", "chain", "ip", "filter", "FORWARD"], capture_output=True, text=True, check=True
    )
    return listing.stdout.count("accept")


def main() -> None:
    """Print what was seen as JSON."""
    policy = "{ type filter hook forward priority 0; policy drop; }"
    for command in ("add table ip filter", f"add chain ip filter FORWARD {policy}"):
        subprocess.run(["nft", command], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        lab_up(site(NAME, "10.92.30.11", "10.92.30.12"))
        ping = subprocess.run(
            [*ssh_argv(NAME, "s1"), "ping -c1 -W2 10.92.30.12"], capture_output=True, check=False
        )
        rules = _rules()
    finally:
        lab_down(NAME)
    seen = {"policy still dropped between hosts": ping.returncode != 0, "rules while up": rules}
    print(json.dumps({**seen, "rules after down": _rules()}))  # noqa: T201  (the parent test reads it)


if __name__ == "__main__":
    main()
