"""`aiplat env`; what it prints is in env_exports."""

from __future__ import annotations

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="env")(env)


def env(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Print shell exports with which any OpenAI or Ollama client, curl and kubectl reach a site.

    Use it as `eval "$(aiplat env)"`. The lines hold the API key: take care where you show them.
    SSL_CERT_FILE names a file with the system's authorities and the site's own. The URLs are those of
    `aiplat tunnel` while that is open.
    """
    # What reaches a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.env_exports import show_environment  # noqa: PLC0415

    show_environment(site, as_json=as_json)
