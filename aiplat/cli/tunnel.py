"""The `aiplat tunnel` verb; opening one is aiplat.actions'."""

from __future__ import annotations

import shlex

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="tunnel")(tunnel)


def tunnel(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Hold a site's ports open on this machine, for clients that cannot reach its hosts but through ssh.

    aiplat's own verbs need none: where a jump host is on the way (`ssh.tunnel` in site.yaml says otherwise),
    they go through ssh by themselves. While this runs, `aiplat env` in another terminal gives the URLs on
    this machine, so any OpenAI or Ollama client, curl and kubectl work. Where the site has the portal and no
    ingress, a browser on this machine finds the portal at the address that is printed. It ends with Ctrl-C,
    or with exit code 1 when the connection is lost. With --json it prints one document once it is open.

    Exit codes: 0 ended with Ctrl-C, 1 the server is not reached or was lost, 2 bad input.
    """
    # What reaches hosts takes a second to load: --help need not wait.
    from aiplat.cli.tunnel_verbs import hold_tunnel  # noqa: PLC0415

    hold_tunnel(site, as_json=as_json, again=f"aiplat env {shlex.quote(site)}" if site else "aiplat env")
