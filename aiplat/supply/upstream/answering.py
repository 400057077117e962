"""Whether upstream answers from here, host by host and quickly; what is then fetched is not asked."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from aiplat.catalog.components import ArtifactRecipe
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import components_on, site_models
from aiplat.errors import AiplatError
from aiplat.site.models import Site
from aiplat.supply.upstream.huggingface import endpoint
from aiplat.supply.upstream.reach import ANSWERING, Reach
from aiplat.supply.upstream.references import model_name
from aiplat.supply.upstream.sentences import host_of, of_fault

_SECONDS = 3.0
_PYPI = "pypi.org"


def unanswering(site: Site) -> str:
    """Return why upstream cannot be used from here, in a few words; empty if every host answers."""
    return next((problem for problem in _said(site) if problem), "")


def silence(site: Site) -> str:
    """Return why none of several hosts of upstream answers, in a few words; empty as soon as one does.

    A single host is not asked beforehand: what fetches from it says more.
    """
    problems = []
    for problem in _said(site):
        if not problem:
            return ""
        problems.append(problem)
    return problems[0] if len(problems) > 1 else ""


def _said(site: Site) -> Iterator[str]:
    """Yield what is wrong with each host, empty where it answers, in the order of their answers."""
    reach = Reach(site.upstream)
    addresses = sorted({reach.address(f"https://{host}/") for host in hosts_needed(site)})
    try:
        client = reach.client(httpx.Timeout(_SECONDS))
    except AiplatError as error:
        yield error.findings[0].problem
        return
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    for address in addresses:
        # Whoever is still silent then must not keep the process from ending, as a pool's thread would.
        threading.Thread(target=_ask, args=(client, reach, address, said), daemon=True).start()
    until = time.monotonic() + 2 * _SECONDS
    for _ in addresses:
        try:
            yield said.get(timeout=max(0.001, until - time.monotonic()))
        except queue.Empty:
            yield "some of its hosts are silent"
            return


def _ask(client: httpx.Client, reach: Reach, address: str, said: queue.SimpleQueue[str]) -> None:
    said.put(_silence(client, reach, address))


def hosts_needed(site: Site) -> set[str]:
    """Return the names of the hosts that the recipes of what a site installs begin at."""
    catalog = catalog_of(site)
    components = components_on(site, catalog)
    recipes = [recipe for component in components for recipe in component.artifacts]
    recipes += [model.artifact for _, model in site_models(site, catalog, "upstream")]
    return {host for recipe in recipes for host in _hosts(recipe)}


def _hosts(recipe: ArtifactRecipe) -> set[str]:
    how = recipe.upstream
    if how is None:
        return set()
    address = (
        (how.release and how.release.url)
        or (how.helm and how.helm.repository)
        or (how.huggingface and endpoint())
        or (how.ollama and f"https://{model_name(how.ollama.name or recipe.name).host}")
        or (how.assemble and f"https://{how.assemble.base}")
        or (how.image and f"https://{how.image.reference or recipe.name}")
    )
    host = urlsplit(address).netloc if address else ""
    return {ANSWERING.get(host, host), _PYPI if how.assemble else ""} - {""}


def _silence(client: httpx.Client, reach: Reach, address: str) -> str:
    """Return why a host does not answer; any answer at all is one."""
    try:
        client.head(address)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        finding = of_fault(address, error, reach.proxy(address)).findings[0]
        return f"{host_of(address)}: {finding.problem}"
    return ""
