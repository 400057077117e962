"""The verb `aiplat bundle push`: arguments and what was written; pushing is aiplat.bundle.push's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from aiplat import API_VERSION
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.push import KINDS, PushResult, push_bundle, see_password_file
from aiplat.bundle.trust import open_trusted
from aiplat.catalog.artifacts import ArtifactKind
from aiplat.cli.arguments import JsonLinesOption
from aiplat.cli.bundle_choice import SiteOrBundle, bundle_and_site
from aiplat.cli.bytes_progress import bytes_progress
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Upstream
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.reach import Credential
from aiplat.supply.upstream.registry_push import PushTarget

_HOST = re.compile(r"([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")
_To = Annotated[str, typer.Option("--to", metavar="HOST[:PORT][/PREFIX]", help="The registry, with TLS.")]
_Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="image, chart or model alone; once or more."),
]
_Credentials = Annotated[
    Path | None,
    typer.Option("--credentials", metavar="FILE", help="A file (0600) with user:password in one line."),
]
_Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Further CA certificates (PEM).")]


def register_push(app: typer.Typer) -> None:
    """Add the verb to `aiplat bundle`."""
    app.command()(push)


def push(  # noqa: PLR0913, PLR0917 - what, where to, as whom
    to: _To,
    site: SiteOrBundle = None,
    kind: _Kinds = None,
    credentials: _Credentials = None,
    ca: _Ca = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Push a bundle's images, charts and models into a registry that you have.

    Each goes to HOST/PREFIX/NAME:VERSION with its whole name, so docker.io/library/x becomes
    HOST/PREFIX/docker.io/library/x. Content is compared with its digest before it is sent, and what the
    registry has is not sent again: cut off, the same command resumes with the blob it was at. Who to be there
    is said by --credentials, else by what `docker login` or `podman login` left. Hosts of a site take
    everything from the site's own registry and need none of this.
    """
    path, named = bundle_and_site(site)
    bundle = open_trusted(named) if named else Bundle.open(path)
    host, prefix = _target(to)
    kinds = _kinds(kind)
    who = Credential(*see_password_file(credentials).split(":", 1)) if credentials else None
    http = HttpClient(Upstream(ca=ca) if ca else None)
    target = PushTarget(http, host, who)
    try:
        with bytes_progress(as_json) as told:
            result = push_bundle(bundle, target, prefix, kinds, told)
    finally:
        target.close()
        http.close()
    _say(host, result, as_json=as_json)


def _say(host: str, result: PushResult, *, as_json: bool) -> None:
    if as_json:
        summary = {"apiVersion": API_VERSION, "kind": "Summary", "registry": host, "sent": result.sent}
        print_json(
            {**summary, "changed": len(result.written), "written": result.written, "kept": result.kept}
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    for name in result.written:
        console.print(f"{host}/{name}", markup=False)
    said = f"{len(result.written)} written, {len(result.kept)} were there, {result.sent / 1e6:.0f} MB sent"
    console.print(f"{host}: {said}", markup=False)


def _target(text: str) -> tuple[str, str]:
    host, _, prefix = text.removeprefix("https://").partition("/")
    if text.startswith("http://"):
        raise BadInput(
            Finding(
                "--to",
                "a registry without TLS is not pushed to",
                "give it a certificate, and name its CA with --ca",
            )
        )
    if not _HOST.fullmatch(host):
        raise BadInput(Finding("--to", f"{text} is not a registry", "write registry.example:5000/ward"))
    return host, prefix.strip("/")


def _kinds(said: list[str] | None) -> list[ArtifactKind]:
    unknown = [word for word in said or () if word not in KINDS]
    if unknown:
        hint = did_you_mean(unknown[0], KINDS, "write")
        raise BadInput(Finding("--kind", f"{unknown[0]} is not a kind that registries hold", hint))
    return [kind for kind in KINDS if not said or kind in said]
