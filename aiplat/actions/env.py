"""`aiplat env`: the variables with which any client finds a site; how a shell takes them is aiplat.cli's."""

from __future__ import annotations

import os

from aiplat.actions.access import TRUST_VARIABLES, access_to
from aiplat.actions.tunnel import needs_tunnel, tunnel_of
from aiplat.site.models import Site


def environment(site: Site) -> dict[str, str]:
    """Return the variables that OpenAI's and Ollama's clients, curl and kubectl read; two hold the API key.

    While the site's tunnel is open, its ends on this machine are what they name.

    Raises:
        BadInput: the site was never bootstrapped from here, or its vault cannot be opened.
    """
    access, open_ = access_to(site), tunnel_of(site)
    url = (open_ and open_.gateway) or access.url
    kubeconfig = (open_ and open_.kubeconfig) or str(access.kubeconfig)
    # curl and requests ask these first: where one is set, SSL_CERT_FILE alone would change nothing for them.
    trust = {name: str(access.authorities) for name in TRUST_VARIABLES if name in os.environ}
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": access.key,
        "OLLAMA_HOST": url,
        "OLLAMA_API_KEY": access.key,
        "SSL_CERT_FILE": str(access.authorities),
        "KUBECONFIG": kubeconfig,
    } | trust


def lacks_tunnel(site: Site) -> bool:
    """Whether clients on this machine cannot reach what the variables name until a tunnel is open."""
    return needs_tunnel(site) and tunnel_of(site) is None
