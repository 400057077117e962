"""What `aiplat tunnel` prints while it is open."""

from __future__ import annotations

import contextlib
import sys

from rich.table import Table

from aiplat.actions.tunnel import Tunnel, open_tunnel, reached_by
from aiplat.cli.ending import print_json
from aiplat.cli.reaching import waiting
from aiplat.cli.terminal import Console
from aiplat.site.find import find_site
from aiplat.site.load import load_site

_FIRST_KEY = (
    "kubectl -n aiplat-user-serving get secret portal-gateway-key -o jsonpath='{.data.key}' | base64 -d"
)


def hold_tunnel(argument: str | None, *, as_json: bool, again: str) -> None:
    """Open a site's tunnel, say where it ends, and hold it until Ctrl-C; `again` is what others run."""
    site = load_site(find_site(argument))
    with contextlib.ExitStack() as held:
        with waiting(f"reaching {reached_by(site)}"):
            found = held.enter_context(open_tunnel(site))
        if as_json:
            print_json(found.tunnel.model_dump(mode="json", by_alias=True))
        else:
            _show(found.tunnel, again)
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            found.wait()


def _show(tunnel: Tunnel, again: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    rows = {
        "OpenAI API": f"{tunnel.gateway}/v1" if tunnel.gateway else "",
        "Ollama API": tunnel.gateway,
        "Kubernetes": tunnel.kubernetes,
        "registry": tunnel.registry,
        "portal": tunnel.portal,
    }
    for what, url in rows.items():
        if url:
            table.add_row(what, url)
    console.print(table)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in tunnel.notes:
        notes.print(note, style="yellow", markup=False)
    if tunnel.portal:
        notes.print(
            f"Sign in at {tunnel.portal} with your key; the first admin's: {_FIRST_KEY}",
            style="dim",
            markup=False,
        )
    notes.print(f'In another terminal: eval "$({again})". End with Ctrl-C.', style="dim", markup=False)
