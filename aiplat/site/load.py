"""`load_site(path) -> Site`: reads, checks and completes a site file; the rules are in aiplat.site.rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiplat.errors import BadInput
from aiplat.site.document import YamlDocument
from aiplat.site.findings import SiteFinding
from aiplat.site.given_address import with_kept_address
from aiplat.site.known import Known, known_names
from aiplat.site.models import Site
from aiplat.site.rules import RULES
from aiplat.site.rules.files import BUNDLE_PREFIX, absolute
from aiplat.site.shape import FOREIGN, UNKNOWN_KEY, shape_findings
from aiplat.site.yaml_file import read_document

_NEEDS_BUNDLE = "missing-bundle"


def load_site(path: Path, *, bundle_may_be_gone: bool = False) -> Site:
    """Return the site that the file describes; a key file's and a bundle's path in it are absolute then.

    The endpoint is the address that its cluster's load balancer gave, where it is to be that.

    `bundle_may_be_gone` is for verbs that take away: they need nothing of the bundle that the file names.

    Raises:
        BadInput: with every finding about the file at once, in the order of its lines.
    """
    document = read_document(path)
    findings = check(document, known_names())
    if bundle_may_be_gone:
        findings = [finding for finding in findings if finding.rule != _NEEDS_BUNDLE]
    if findings:
        raise BadInput(findings)
    return with_kept_address(Site.model_validate(_with_absolute_paths(document)))


def check(document: YamlDocument, known: Known) -> list[SiteFinding]:
    """Return everything that is wrong with a document, in the order of its lines."""
    findings = [*document.findings, *shape_findings(document)]
    if isinstance(document.data, dict) and not any(f.rule in FOREIGN for f in findings):
        findings += [f.by(name) for name, rule in RULES.items() for f in rule(document, known)]
    secrets = {f.path for f in findings if "secret" in f.rule}
    # What else is wrong with a secret is not said where that would repeat it.
    told = [f for f in findings if f.path not in secrets or "secret" in f.rule or f.rule == UNKNOWN_KEY]
    return sorted(told, key=lambda f: (f.line, f.column))


def _with_absolute_paths(document: YamlDocument) -> dict[str, Any]:
    """Return the document's values with `~` and paths relative to the file's folder resolved."""
    data: dict[str, Any] = dict(document.data)
    data["hosts"] = [_with_absolute_key(host, document.folder) for host in data.get("hosts", ())]
    if data.get("cluster"):
        data["cluster"] = _with_absolute_files(data["cluster"], ("existing", "registryCA"), document.folder)
    supply = data.get("supply", "")
    if supply.startswith(BUNDLE_PREFIX):
        data["supply"] = BUNDLE_PREFIX + str(absolute(supply.removeprefix(BUNDLE_PREFIX), document.folder))
    if data.get("models"):
        data["models"] = [_with_absolute_source(model, document.folder) for model in data["models"]]
    if (data.get("upstream") or {}).get("ca"):
        ca = str(absolute(data["upstream"]["ca"], document.folder))
        data["upstream"] = {**data["upstream"], "ca": ca}
    if (data.get("trust") or {}).get("signers"):
        data["trust"] = {"signers": str(absolute(data["trust"]["signers"], document.folder))}
    if (data.get("signIn") or {}).get("ca"):
        data["signIn"] = {**data["signIn"], "ca": str(absolute(data["signIn"]["ca"], document.folder))}
    return data


def _with_absolute_files(values: dict[str, Any], keys: tuple[str, ...], folder: Path) -> dict[str, Any]:
    return values | {key: str(absolute(values[key], folder)) for key in keys if values.get(key)}


def _with_absolute_source(model: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {**model, "from": str(absolute(model["from"], folder))} if model.get("from") else model


def _with_absolute_key(host: dict[str, Any], folder: Path) -> dict[str, Any]:
    ssh = host.get("ssh") or {}
    if not ssh.get("key"):
        return host
    return {**host, "ssh": {**ssh, "key": str(absolute(ssh["key"], folder))}}
