"""`aiplat env`: the variables with which any client finds a site; how a shell takes them is aiplat.cli's."""

from __future__ import annotations

from aiplat.actions.access import access_to
from aiplat.site.models import Site


def environment(site: Site) -> dict[str, str]:
    """Return the variables that OpenAI's and Ollama's clients, curl and kubectl read; two hold the API key.

    Raises:
        BadInput: the site was never bootstrapped from here, or its vault cannot be opened.
    """
    access = access_to(site)
    return {
        "OPENAI_BASE_URL": f"{access.url}/v1",
        "OPENAI_API_KEY": access.key,
        "OLLAMA_HOST": access.url,
        "OLLAMA_API_KEY": access.key,
        "SSL_CERT_FILE": str(access.authorities),
        "KUBECONFIG": str(access.kubeconfig),
    }
