"""What plan, bootstrap and reset do on the command line; the work itself is in aiplat.actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aiplat.actions.bootstrap import Options, bootstrap
from aiplat.actions.plan import plan_site
from aiplat.actions.summary import Summary
from aiplat.bundle.trust import NOT_VERIFIED
from aiplat.cli.contact import AtTerminal
from aiplat.cli.ending import print_json
from aiplat.cli.first_sign_in import offer_first_sign_in
from aiplat.cli.reaching import meet, waiting
from aiplat.cli.run_tables import plan_table, save_svg, summary_panel
from aiplat.cli.run_watch import watching
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, CheckFailed, Finding
from aiplat.runs.history import RUN_ID
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.site.rules.files import BUNDLE_PREFIX

_SUPPLIES = ("auto", "packages", "upstream")


@dataclass(frozen=True)
class RunOptions:
    """What plan and bootstrap are asked for alike."""

    site: str | None
    supply: str | None
    as_json: bool
    svg: Path | None
    dialogue: AtTerminal = field(default_factory=AtTerminal)


def run_plan(asked: RunOptions) -> None:
    """Show the plan, then raise what forbids it."""
    site = _site(asked.site, asked.supply)
    _say_unverified(site, quiet=asked.as_json)
    meet(site, asked.dialogue)
    with waiting(f"looking at {site.place}"):
        view = plan_site(site)
    if asked.as_json:
        print_json(view.document())
    else:
        Console(highlight=False).print(plan_table(view))
    if asked.svg:
        save_svg(asked.svg, f"aiplat plan {asked.site or ''}".strip(), plan_table(view))
    view.refuse()


def run_bootstrap(asked: RunOptions, options: Options, *, yes: bool) -> None:
    """Carry out what is to be done and end with the summary; a failed check is exit code 3."""
    _may_ask(yes=yes, as_json=asked.as_json)
    if options.run_id is not None and not RUN_ID.fullmatch(options.run_id):
        raise BadInput(Finding("--run-id", "invalid run ID", "omit it to generate one"))
    site = _site(asked.site, asked.supply)
    _say_unverified(site, quiet=asked.as_json)
    meet(site, asked.dialogue, lab=options.lab, quiet=asked.as_json)
    with watching(as_json=asked.as_json, yes=yes) as watch:
        summary = bootstrap(site, options, watch)
    _finish(summary, asked.site, as_json=asked.as_json)
    # Never in a document: programs keep what they read. A run that changed nothing does not ask again.
    if summary.changed and summary.state == "done" and not asked.as_json:
        offer_first_sign_in(site)
    if asked.svg:
        named = asked.site or ""
        save_svg(asked.svg, f"aiplat bootstrap {named}".strip(), summary_panel(summary, named))
    if summary.failed_checks:
        raise CheckFailed(
            [Finding(c.sentence, c.detail or "is not so", c.fix) for c in summary.failed_checks]
        )


def run_reset(asked: RunOptions, *, keep_models: bool, yes: bool) -> None:
    """Take everything off the hosts and end with the summary."""
    # Loading Ansible's runner takes a third of a second, which the other verbs need not wait.
    from aiplat.actions.reset import reset  # noqa: PLC0415

    _may_ask(yes=yes, as_json=asked.as_json)
    site = load_site(find_site(asked.site), bundle_may_be_gone=True)
    meet(site, asked.dialogue, quiet=asked.as_json)
    with watching(as_json=asked.as_json, yes=yes) as watch:
        summary = reset(site, watch, keep_models=keep_models)
    _finish(summary, asked.site, as_json=asked.as_json)


def run_node_remove(name: str, argument: str | None, *, yes: bool, as_json: bool) -> None:
    """Take a node out of the cluster and end with the summary."""
    from aiplat.actions.node import remove_node  # noqa: PLC0415

    _may_ask(yes=yes, as_json=as_json)
    with watching(as_json=as_json, yes=yes) as watch:
        summary = remove_node(_site(argument, None), name, watch)
    _finish(summary, argument, as_json=as_json)


def _site(argument: str | None, supply: str | None) -> Site:
    site = load_site(find_site(argument))
    if supply is None:
        return site
    if supply not in _SUPPLIES and not supply.startswith("bundle:"):
        raise BadInput(
            Finding("--supply", f"{supply} is not a supply", f"one of {', '.join(_SUPPLIES)}, bundle:PATH")
        )
    return site.model_copy(update={"supply": supply})


def _say_unverified(site: Site, *, quiet: bool) -> None:
    """Say of a bundle that came from elsewhere that nobody vouches for it, where the site asks for no one."""
    if site.supply.startswith(BUNDLE_PREFIX) and site.trust.signers is None and not quiet:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"{site.supply}: {NOT_VERIFIED}", markup=False
        )


def _may_ask(*, yes: bool, as_json: bool) -> None:
    if as_json and not yes:
        raise BadInput(Finding("--json", "a program cannot be asked whether to go on", "add --yes"))


def _finish(summary: Summary, argument: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json(summary.model_dump(mode="json", by_alias=True))
    else:
        Console(stderr=True, highlight=False).print(summary_panel(summary, argument or ""))
