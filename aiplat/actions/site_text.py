"""Writes a site file that says in comments why each value was chosen; choosing is aiplat.actions.init's."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PLAIN = re.compile(r"[A-Za-z/~][A-Za-z0-9._/~-]*|\d+\.\d+\.\d+\.\d+(/\d+)?")
# Words that YAML 1.1 readers take for something else than text.
_NOT_TEXT = {"on", "off", "yes", "no", "true", "false", "null", "y", "n"}
_WIDTH = 100


@dataclass(frozen=True)
class HostText:
    """One host: what was seen of it, and its keys in the order they are written."""

    comments: tuple[str, ...]
    keys: dict[str, str]
    ssh: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class SiteText:
    """Everything that is written, in words."""

    name: str
    head: tuple[str, ...]
    supply: str
    supply_why: str
    pods: str
    services: str
    networks_why: str
    hosts: tuple[HostText, ...]
    models: tuple[tuple[str, str], ...]
    """Names and engines."""
    models_why: tuple[str, ...]


def written(site: SiteText) -> str:
    """Return the site file's text."""
    return "\n".join(_lines(site)) + "\n"


def _lines(site: SiteText) -> Iterator[str]:
    yield from _comments(site.head)
    yield from ("apiVersion: aiplat.dev/v1alpha1", "kind: Site", f"name: {_scalar(site.name)}", "")
    yield from _comments([site.supply_why])
    yield from (f"supply: {_scalar(site.supply)}", "", "cluster:")
    yield from _comments([site.networks_why], "  ")
    yield from (f"  podCIDR: {_scalar(site.pods)}", f"  serviceCIDR: {_scalar(site.services)}", "", "hosts:")
    for host in site.hosts:
        yield from _host(host)
    yield from ("", "models:" if site.models else "models: []")
    yield from _comments(site.models_why, "  ")
    for model, engine in site.models:
        yield from (f"  - name: {_scalar(model)}", f"    engine: {_scalar(engine)}")


def _host(host: HostText) -> Iterator[str]:
    yield from _comments(host.comments, "  ")
    for position, (name, value) in enumerate(host.keys.items()):
        yield f"  {'-' if position == 0 else ' '} {name}: {_scalar(value)}"
    if host.ssh:
        pairs = ", ".join(f"{name}: {_scalar(value)}" for name, value in host.ssh.items())
        yield f"    ssh: {{{pairs}}}"


def _comments(sentences: Iterable[str], indent: str = "") -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(
            sentence,
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _scalar(value: str | int) -> str:
    text = str(value)
    plain = isinstance(value, int) or (_PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT)
    return text if plain else json.dumps(text, ensure_ascii=False)
