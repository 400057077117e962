"""Asks the site's first model the smoke test's question as any client would; judging is aiplat.verify's."""

from __future__ import annotations

import ssl

import httpx

from aiplat.actions.summary import Words
from aiplat.catalog.lockfile import supply_in_use
from aiplat.catalog.resolve import served_models
from aiplat.cluster.way import request_hooks
from aiplat.errors import AiplatError
from aiplat.fleet.tunnel import way_to
from aiplat.site.addresses import in_url
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import SiteSecrets
from aiplat.verify.smoke_test import Question, ask, question_for

_SECONDS = 120.0


def smoke_test(site: Site, secrets: SiteSecrets) -> Words | None:
    """Return what the site's first model that writes text answers; None without a model or an answer."""
    every = served_models(site, supply=supply_in_use(site))
    asked = ((model.name, question) for _, model in every if (question := question_for(model)))
    model, question = next(asked, ("", None))
    if question is None:
        return None
    try:
        answer = _answer(site, secrets, model, question)
    except (AiplatError, httpx.HTTPError, OSError, ValueError):
        return None
    return Words(model=model, prompt=question.prompt, answer=answer)


def _answer(site: Site, secrets: SiteSecrets, model: str, question: Question) -> str:
    """Ask over TLS that the site's CA vouches for, with the site's key."""
    url = platform_url(site)
    hooks = request_hooks(url, way_to(site))
    trusted = ssl.create_default_context(cafile=str(site_dir(site.name) / "ca.crt"))
    headers = {"Authorization": f"Bearer {secrets.key_in_use}"}
    base = url.removesuffix("/v1")
    with httpx.Client(
        base_url=base, headers=headers, verify=trusted, trust_env=False, event_hooks=hooks
    ) as client:
        return ask(client, model, question, _SECONDS)


def platform_url(site: Site) -> str:
    """Return the platform's URL for good."""
    return f"https://{in_url(site.endpoint)}/v1"
