"""Asks the site's first model for a few words, the way any client would; judging them is aiplat.verify's."""

from __future__ import annotations

import ssl

import httpx

from aiplat.actions.summary import Words
from aiplat.cluster.way import request_hooks
from aiplat.errors import AiplatError
from aiplat.fleet.tunnel import way_to
from aiplat.site.addresses import in_url
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import SiteSecrets

PROMPT = "1, 2, 3, 4,"
_SECONDS = 60.0


def first_words(site: Site, secrets: SiteSecrets) -> Words | None:
    """Return what the site's first model says to `1, 2, 3, 4,`; None without a model or an answer.

    The platform is reached at its URL, over TLS from the site CA, with the site's key.
    """
    if not site.served:
        return None
    model = site.served[0].name
    body = {"model": model, "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
    trusted = ssl.create_default_context(cafile=str(site_dir(site.name) / "ca.crt"))
    headers = {"Authorization": f"Bearer {secrets.key_in_use}"}
    try:
        hooks = request_hooks(platform_url(site), way_to(site))
        with httpx.Client(verify=trusted, timeout=_SECONDS, trust_env=False, event_hooks=hooks) as client:
            reply = client.post(f"{platform_url(site)}/completions", json=body, headers=headers)
        answer = str(reply.raise_for_status().json()["choices"][0]["text"])
    except (AiplatError, httpx.HTTPError, KeyError, IndexError, ValueError):
        return None
    return Words(model=model, prompt=PROMPT, answer=answer)


def platform_url(site: Site) -> str:
    """Return the platform's URL for good."""
    return f"https://{in_url(site.endpoint)}/v1"
