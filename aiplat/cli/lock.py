"""The verb `aiplat lock`: arguments, progress and the differences; pinning belongs in aiplat.actions.lock."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.actions.lock import Locked, lock_site
from aiplat.catalog.lockfile import lock_path
from aiplat.catalog.resolve import resolve
from aiplat.cli.arguments import JsonLinesOption, SiteArgument, SupplyOption, with_supply
from aiplat.cli.bundle_progress import bundle_progress
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.site.find import find_site
from aiplat.site.load import load_site

_Update = Annotated[
    list[str] | None,
    typer.Option("--update", metavar="COMPONENT", help="Take what upstream has now; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(lock)


def lock(
    site: SiteArgument = None,
    update: _Update = None,
    supply: SupplyOption = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Pin everything SITE installs from upstream: versions, digests, sizes and sources, into its lock.yaml.

    No content is fetched, but for what has no digest of its own upstream. Run again it asks again: what was
    exchanged upstream under the same name is refused, with both digests, until --update COMPONENT takes it.
    `aiplat bundle build` fetches just what is pinned. With --json it prints one event a line, the last one
    with kind Lock.
    """
    wanted = with_supply(load_site(find_site(site)), supply)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with bundle_progress(as_json, len(resolve(wanted, supply="upstream").artifacts)) as told:
        locked = lock_site(wanted, told, update or ())
    path = lock_path(wanted)
    if as_json:
        document = locked.lock.model_dump(mode="json", by_alias=True, exclude_none=True)
        print_json({**document, "path": str(path), "changes": list(locked.changes)})
        return
    _say(console, str(path), locked)


def _say(console: Console, path: str, locked: Locked) -> None:
    for change in locked.changes:
        console.print(change, markup=False)
    count = len(locked.lock.artifacts)
    size = sum(artifact.download or 0 for artifact in locked.lock.artifacts) / 1e6
    what = f"{count} artifacts, {size:.0f} MB to fetch"
    said = "written" if locked.new or locked.changes else "as it was"
    console.print(f"{path}: {said}, {what}", markup=False)
