"""`aiplat env`: the variables with which any client finds a site; how a shell takes them is aiplat.cli's."""

from __future__ import annotations

import os

from aiplat.actions.access import TRUST_VARIABLES, access_to
from aiplat.site.models import Site


def environment(site: Site) -> dict[str, str]:
    """Return the variables that OpenAI's and Ollama's clients, curl and kubectl read; two hold the API key.

    Raises:
        BadInput: the site was never bootstrapped from here, or its vault cannot be opened.
    """
    access = access_to(site)
    # curl and requests ask these first: where one is set, SSL_CERT_FILE alone would change nothing for them.
    trust = {name: str(access.authorities) for name in TRUST_VARIABLES if name in os.environ}
    return {
        "OPENAI_BASE_URL": f"{access.url}/v1",
        "OPENAI_API_KEY": access.key,
        "OLLAMA_HOST": access.url,
        "OLLAMA_API_KEY": access.key,
        "SSL_CERT_FILE": str(access.authorities),
        "KUBECONFIG": str(access.kubeconfig),
    } | trust
