"""The verbs `aiplat bundle trust`: who may sign a site's bundles; keeping the list is aiplat.bundle's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aiplat.bundle.trust import Signer, first_signer, listed_signers, rotate
from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.cli.bundle_verify import period
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.moments import moment_of
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.state import expanded

trust_app = typer.Typer(
    no_args_is_help=True,
    help="""Who may sign the bundles of a site: a list of public keys that you keep beside site.yaml.

`init` begins it, `rotate` changes the key while bundles of both are valid, `show` says who is on it.
""",
)

_PublicOption = Annotated[
    Path | None, typer.Option("--public", metavar="FILE", help="A key you have. Left out, one is made.")
]
_OldOption = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="A key that may sign now; its time ends.")
]
_BothOption = Annotated[str, typer.Option("--both", metavar="TIME", help="How long the old key stays valid.")]


def register_trust(app: typer.Typer) -> None:
    """Add the verbs to `aiplat bundle`."""
    app.add_typer(trust_app, name="trust")


@trust_app.command()
def init(site: SiteArgument = None, public: _PublicOption = None) -> None:
    """Make the key that signs a site's bundles, and the list of those who may.

    The key is made without a passphrase in the site's state folder, for its owner alone; take it to where you
    sign, or give the public half of one that is on a token or has a passphrase with --public.
    """
    file = find_site(site)
    loaded = load_site(file)
    signers = _list_of(loaded, file)
    signer, key = first_signer(loaded, signers, expanded(public) if public else None)
    _say(f"{signers}: {signer.name} may sign bundles of {loaded.name} (key {key})")
    if loaded.trust.signers is None:
        _say(f"next: write `trust: {{signers: ./{signers.name}}}` into {file}, then `aiplat bundle sign`")


@trust_app.command("rotate")
def change_key(
    key: _OldOption, site: SiteArgument = None, public: _PublicOption = None, both: _BothOption = "30d"
) -> None:
    """Add another key to the list and end the time of the old one, which signs the list for the hosts.

    Until then bundles of both are accepted. A host takes a list that somebody on its own list signed: let
    every host see one change (`aiplat bootstrap`) before the next.
    """
    file = find_site(site)
    loaded = load_site(file)
    signers = _list_of(loaded, file)
    after = period(both, "--both")
    added, made = rotate(loaded, signers, expanded(key), expanded(public) if public else None, after)
    _say(f"{signers}: {added.name} may sign from now on (key {made}); the old key for {both} more")


@trust_app.command()
def show(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Show who may sign the bundles of a site, and until when."""
    file = find_site(site)
    loaded = load_site(file)
    signers = _list_of(loaded, file)
    listed = listed_signers(signers)
    if as_json:
        rows = [{"name": one.name, "key": one.key, "validBefore": one.until or None} for one in listed]
        print_json({"kind": "BundleSigners", "path": str(signers), "signers": rows})
        return
    table = Table("signer", "valid until (UTC)", "key", box=None, pad_edge=False)
    for one in listed:
        table.add_row(Text(one.name), Text(_until(one)), Text(one.key))
    Console(highlight=False, soft_wrap=True).print(table)


def _until(signer: Signer) -> str:
    if not signer.until:
        return "without an end"
    try:
        ends = moment_of(f"{signer.until[:8]}T{signer.until[8:]}")
    except ValueError:
        return f"{signer.until}, which is not a time"
    return f"{ends:%Y-%m-%d %H:%M}" + (", over" if ends < datetime.now(UTC) else "")


def _list_of(site: Site, file: Path) -> Path:
    return site.trust.signers or file.resolve().parent / "allowed_signers"


def _say(sentence: str) -> None:
    Console(highlight=False, soft_wrap=True).print(sentence, markup=False)
