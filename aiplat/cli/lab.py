"""The `aiplat lab` verbs: arguments, progress and tables; how hosts are made belongs in aiplat.lab."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from aiplat import lab
from aiplat.cli.arguments import JsonLinesOption, JsonOption
from aiplat.cli.ending import print_json
from aiplat.cli.lab_progress import progress
from aiplat.cli.lab_target import lab_name
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED, BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site

lab_app = typer.Typer(
    no_args_is_help=True,
    help="""Make, look at and remove hosts on this machine, for trying a site before there are real hosts.

The hosts are real systemd machines that ssh reaches. They have no way out: what they try to send outside is
counted and dropped, so an install that works here works without the Internet.

SITE is a site.yaml, or the name of a site that aiplat brings along (lab, lab-agents). The driver nspawn makes
the hosts by systemd-nspawn, the driver docker in a Docker engine of this machine.
""",
)

_SiteOrName = Annotated[str, typer.Argument(metavar="[SITE]", help="A site.yaml, or a lab's name.")]
_Label = Annotated[str, typer.Option("--label", help="What the snapshot is called.")]
_Driver = Annotated[
    str, typer.Option("--driver", help="nspawn or docker. Default: the lab's own, AIPLAT_LAB_DRIVER, nspawn.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(lab_app, name="lab")


@lab_app.command()
def up(site: _SiteOrName = "lab", driver: _Driver = "", as_json: JsonLinesOption = False) -> None:
    """Bring the hosts of SITE up until ssh answers; what is up already is left alone.

    Needs Linux and root, about 3 GB of disk and, the first time, a Debian mirror. Killed half-way, it
    resumes when run again. With --json it prints one event a line, the last one with kind Summary. A lab
    keeps the driver it was made by; `aiplat bootstrap` takes that of AIPLAT_LAB_DRIVER for a new one.
    """
    wanted = load_site(find_site(site))
    with progress(as_json) as on_event:
        status = lab.lab_up(wanted, on_event, driver)
    if as_json:
        print_json({"kind": "Summary", "changed": status.changed, "lab": asdict(status)})
        return
    said = "is up" if status.changed else "was up already, nothing to do"
    console = Console(stderr=True, highlight=False)
    console.print(f"lab {status.name} {said}: {', '.join(f'{h.name} {h.address}' for h in status.hosts)}")
    console.print(f"a shell: aiplat lab ssh {site}   remove it: aiplat lab down {site}", style="dim")


@lab_app.command()
def down(site: _SiteOrName = "lab", as_json: JsonLinesOption = False) -> None:
    """Remove the lab: its hosts with all they hold, bridge, rules, control groups, keys; also after a crash.

    Prints what was removed. What is found is found by the lab's name, so nothing that was half made stays.
    """
    name = lab_name(site)
    with progress(as_json) as on_event:
        removed = lab.lab_down(name, on_event)
    if as_json:
        print_json({"kind": "Summary", "changed": len(removed), "lab": name, "removed": removed})
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for sentence in removed:
        console.print(f"removed {sentence}", markup=False)
    console.print(
        f"lab {name} is gone" if removed else f"lab {name}: there was nothing to remove", markup=False
    )


@lab_app.command()
def status(site: _SiteOrName = "lab", as_json: JsonOption = False) -> None:
    """Show the lab's hosts and what they tried to send outside.

    Exit code 3 if the lab is only partly up; a lab that is not there is no fault.
    """
    name = lab_name(site)
    seen, egress = lab.lab_status(name), lab.egress_report(name)
    if as_json:
        print_json({"kind": "LabStatus", **asdict(seen), "egress": asdict(egress)})
    else:
        _print_status(seen, egress, site)
    if seen.state == "partial":
        raise typer.Exit(EXIT_CHECK_FAILED)


@lab_app.command()
def snapshot(site: _SiteOrName = "lab", label: _Label = "clean", as_json: JsonOption = False) -> None:
    """Keep what all hosts of the lab have on disk; running hosts are shut down for it and booted again."""
    name = lab_name(site)
    lab.lab_snapshot(name, label)
    _tell_kept(as_json, name, label, f"kept; put back: aiplat lab restore {site} --label {label}")


@lab_app.command()
def restore(site: _SiteOrName = "lab", label: _Label = "clean", as_json: JsonOption = False) -> None:
    """Put all hosts' disks back to a snapshot and boot them; running hosts end as if by a power cut."""
    name = lab_name(site)
    lab.lab_restore(name, label)
    _tell_kept(as_json, name, label, "put back, its hosts are up")


@lab_app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    site: _SiteOrName = "lab",
    command: Annotated[list[str] | None, typer.Argument(help="What to run there instead of a shell.")] = None,
    host: Annotated[str, typer.Option("--host", help="Which host, by name or address; else the first.")] = "",
) -> None:
    """Open a shell on a lab host, or run a command there: aiplat lab ssh lab --host lab-s1 -- uptime."""
    name = lab_name(site)
    hosts = lab.lab_status(name).hosts
    if not hosts:
        raise BadInput(Finding(f"lab {name}", "is not up", f"aiplat lab up {site}"))
    argv = [*lab.ssh_argv(name, host or hosts[0].name), *(command or [])]
    os.execvp(argv[0], argv)  # noqa: S606  (a list, no shell)


def _tell_kept(as_json: bool, name: str, label: str, said: str) -> None:
    if as_json:
        print_json({"kind": "LabSnapshot", "lab": name, "label": label})
        return
    Console(stderr=True, highlight=False).print(f"lab {name}: snapshot {label} {said}", markup=False)


def _print_status(seen: lab.LabStatus, egress: lab.EgressReport, site: str) -> None:
    console = Console(highlight=False)
    if seen.state == "absent":
        console.print(f"lab {seen.name} is not up; aiplat lab up {site}")
        return
    console.print(
        f"lab {seen.name}: {seen.state}, {seen.subnet or 'no network recorded'}, bridge {seen.bridge}"
    )
    table = Table("host", "address", "role", "state", box=None, pad_edge=False)
    for found in seen.hosts:
        table.add_row(found.name, found.address, found.role, found.state)
    console.print(table)
    if seen.state == "partial":
        console.print(f"not whole: aiplat lab up {site} completes it, aiplat lab down {site} removes it")
    console.print(f"outside: {egress.packets} packets tried, all dropped")
    for attempt in egress.attempts[:10]:
        port = f":{attempt.port}" if attempt.port else ""
        console.print(
            f"  {attempt.source} → {attempt.destination}{port} {attempt.protocol}, {attempt.packets} packets"
        )
