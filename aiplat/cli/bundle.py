"""The `aiplat bundle` verbs: arguments, progress and tables; making and checking belong in aiplat.bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aiplat.actions.known_lock import known_lock
from aiplat.actions.lock import pinned
from aiplat.bundle.build import build_bundle
from aiplat.bundle.bundle import Bundle, bundle_path
from aiplat.catalog.artifacts import Lock
from aiplat.catalog.resolve import resolve
from aiplat.cli.arguments import (
    JsonLinesOption,
    JsonOption,
    SiteArgument,
    SupplyOption,
    with_supply,
)
from aiplat.cli.bundle_choice import SiteOrBundle, chosen_bundle
from aiplat.cli.bundle_models import register_models
from aiplat.cli.bundle_parts import register_parts
from aiplat.cli.bundle_progress import bundle_progress
from aiplat.cli.bundle_push import register_push
from aiplat.cli.bundle_security import register_security
from aiplat.cli.bundle_trust import register_trust
from aiplat.cli.bundle_verify import register_verify
from aiplat.cli.ending import print_event, print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.signed import STATEMENT
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.supply.choose import choose_supply, supply_for
from aiplat.supply.contract import Supply
from aiplat.supply.upstream.supply import UpstreamSupply

bundle_app = typer.Typer(
    no_args_is_help=True,
    help="""Make and check the bundle: the one folder that hosts install from.

It is an OCI image layout with everything the site's lock names: host files, images, charts and models, each
under the digest of its content. Whatever needs a network happens while it is made; installing needs none.
""",
)

_Refresh = Annotated[
    bool, typer.Option("--refresh", help="Take Debian packages that have newer versions now.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    register_verify(bundle_app)
    register_trust(bundle_app)
    register_models(bundle_app)
    register_parts(bundle_app)
    register_push(bundle_app)
    register_security(bundle_app)
    app.add_typer(bundle_app, name="bundle")


@bundle_app.command()
def build(
    site: SiteArgument = None,
    supply: SupplyOption = None,
    refresh: _Refresh = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Make the bundle of SITE, and write its lock with every version, digest and size.

    With the supply `upstream` the projects' own releases are fetched, as `aiplat lock` has pinned them; what
    is not pinned yet is pinned first. With `packages` programs are compiled, which takes minutes the first
    time. What is finished is kept, and what broke off resumes where it stopped. So Debian packages stay at
    the versions they had when they were fetched; the lock says which. With --refresh those that have newer
    versions by now are fetched, and what they are in is made again. With --json it prints one event a line,
    the last one with kind Summary.
    """
    wanted = with_supply(load_site(find_site(site)), supply)
    if wanted.supply.startswith("bundle:"):
        raise BadInput(
            Finding("supply", f"{wanted.name} installs from a ready {wanted.supply}", "nothing to build")
        )
    choice = choose_supply(wanted)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"supply: {choice.why}", markup=False)
    lock = known_lock(wanted) if choice.name == "upstream" else resolve(wanted, supply=choice.name)
    source = supply_for(wanted, lock)
    if refresh:
        _refresh(source, lock, console, as_json=as_json)
    before = _digest_of_bundle(bundle_path(wanted))
    with bundle_progress(as_json, len(lock.artifacts)) as told:
        lock = pinned(wanted, lock, told)
    source = supply_for(wanted, lock)
    if isinstance(source, UpstreamSupply):
        _say_outlook(source, lock, console, as_json=as_json)
    with bundle_progress(as_json, len(lock.artifacts)) as told:
        bundle = build_bundle(wanted, lock, source, told)
    changed = before != bundle.document.lock_digest
    if as_json:
        print_json({**bundle.info(), "kind": "Summary", "changed": int(changed)})
        return
    said = "is ready" if changed else "was ready already"
    size = f"{bundle.document.size / 1e6:.0f} MB"
    console.print(f"bundle of {wanted.name} {said}: {bundle.path} ({size})", markup=False)
    if wanted.trust.signers and not (bundle.path / STATEMENT).exists():
        console.print("it is not signed, so nothing uses it: aiplat bundle sign", markup=False)


def _say_outlook(supply: UpstreamSupply, lock: Lock, console: Console, *, as_json: bool) -> None:
    """Say what is to come before it comes."""
    outlook = supply.outlook(lock.artifacts)
    if as_json:
        print_event({"event": "outlook", **asdict(outlook)})
        return
    to_come = f"{outlook.missing / 1e6:.0f} of {outlook.total / 1e6:.0f} MB are to be fetched"
    console.print(f"{to_come}; {outlook.free / 1e9:.1f} GB are free", markup=False)


def _refresh(supply: Supply, lock: Lock, console: Console, *, as_json: bool) -> None:
    with console.status("looking for newer Debian packages"):
        aged = supply.refresh(lock.artifacts)
    for one in aged:
        if as_json:
            print_event({"event": "aged", "artifact": one.artifact.ref, "packages": one.packages})
        else:
            console.print(str(one), markup=False)
    if not aged and not as_json:
        console.print("Debian has no newer packages than those that are kept")


@bundle_app.command()
def info(site: SiteOrBundle = None, as_json: JsonOption = False) -> None:
    """Show what is in the bundle; nothing is hashed."""
    opened = Bundle.open(chosen_bundle(site))
    if as_json:
        print_json(opened.info())
        return
    table = Table("kind", "name", "version", "size", "digest", box=None, pad_edge=False)
    for artifact in opened.lock.artifacts:
        size = f"{artifact.size / 1e6:.1f} MB"
        table.add_row(
            artifact.kind, Text(artifact.name), Text(artifact.version), size, Text(str(artifact.digest)[:19])
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{opened.path}: {len(opened.document.files)} files, {opened.document.size / 1e6:.0f} MB")
    saved = opened.saved / 1e6
    console.print(f"{saved:.1f} MB are saved: layers that several artifacts have are there once")


def _digest_of_bundle(path: Path) -> str | None:
    try:
        return Bundle.open(path).document.lock_digest
    except BadInput:
        return None
