"""`load_site(path) -> Site`: reads, checks and completes one site file; single rules are in aiplat.site.rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiplat.errors import BadInput
from aiplat.site.document import Document, read_document
from aiplat.site.findings import SiteFinding
from aiplat.site.known import Known, known_names
from aiplat.site.models import Site
from aiplat.site.rules import RULES
from aiplat.site.shape import shape_findings

BUNDLE_PREFIX = "bundle:"


def load_site(path: Path) -> Site:
    """Return the site that the file describes; a key file's and a bundle's path in it are absolute then.

    Raises:
        BadInput: with every finding about the file at once, in the order of its lines.
    """
    document = read_document(path)
    findings = check(document, known_names())
    if findings:
        raise BadInput(findings)
    return Site.model_validate(_with_absolute_paths(document))


def check(document: Document, known: Known) -> list[SiteFinding]:
    """Return everything that is wrong with a document: first its shape, then each rule; one finding a place."""
    findings = [*document.findings, *shape_findings(document)]
    if isinstance(document.data, dict):
        for name, rule in RULES.items():
            findings += [_named(f, name) for f in rule(document, known)]
    secret_places = {f.path for f in findings if f.rule.startswith("secret")}
    said: dict[tuple[str, int], SiteFinding] = {}
    for finding in findings:
        if finding.path in secret_places and not finding.rule.startswith("secret"):
            continue  # a message about the value could repeat it
        said.setdefault((finding.path, finding.line), finding)
    return sorted(said.values(), key=lambda f: (f.line, f.column))


def _named(finding: SiteFinding, rule: str) -> SiteFinding:
    return SiteFinding(**{**vars(finding), "rule": rule})


def _with_absolute_paths(document: Document) -> dict[str, Any]:
    """Return the document's values with `~` and paths relative to the file's folder resolved."""
    data: dict[str, Any] = dict(document.data)
    data["hosts"] = [_with_absolute_key(host, document.folder) for host in data["hosts"]]
    supply = data.get("supply", "")
    if supply.startswith(BUNDLE_PREFIX):
        data["supply"] = BUNDLE_PREFIX + str(absolute(supply.removeprefix(BUNDLE_PREFIX), document.folder))
    return data


def _with_absolute_key(host: dict[str, Any], folder: Path) -> dict[str, Any]:
    ssh = host.get("ssh") or {}
    if not ssh.get("key"):
        return host
    return {**host, "ssh": {**ssh, "key": str(absolute(ssh["key"], folder))}}


def absolute(path: str, folder: Path) -> Path:
    """Return a path written in a site file as an absolute one; relative ones start at the file's folder."""
    return (folder.resolve() / Path(path).expanduser()).resolve()
