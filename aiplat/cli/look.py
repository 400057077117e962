"""The verbs that only look: status, verify, chat, env; how they show it is in look_*."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (status, verify, chat, env):
        app.command(name=verb.__name__)(verb)


def status(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Show a site plane by plane, with what needs attention first.

    Looks at the cluster only; `aiplat verify` tries things, `aiplat plan` compares the hosts. Exit codes: 0
    it could look, whatever it saw, 1 the cluster cannot be asked or is not there yet, 2 bad input.
    """
    # What looks into a cluster takes a second to load: only these verbs pay for it.
    from aiplat.cli.look_verbs import show_status  # noqa: PLC0415

    show_status(site, as_json=as_json)


def verify(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Run every check of a site: each is a sentence, and the answer is OK, FAIL or SKIP.

    Nothing is changed. Connections that policies should refuse are tried from inside the pods; each model is
    asked a question with one right answer. Exit codes: 0 nothing is wrong, 3 a check found something wrong.
    """
    from aiplat.cli.look_verbs import show_report  # noqa: PLC0415

    show_report(site, as_json=as_json)


def chat(  # noqa: PLR0913, PLR0917 - one parameter an option
    site: SiteArgument = None,
    model: Annotated[str | None, typer.Option(help="Model or alias. Default: the site's first.")] = None,
    once: Annotated[
        str | None, typer.Option(metavar="PROMPT", help="Ask this, print the answer, end.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="chat or completion. Default: what suits the model.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="0: always the same answer.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer. Default: 128 where a base model continues.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print one JSON document.")] = False,
) -> None:
    """Talk with a model through the site's gateway.

    A base model, such as gemma3:270m, is not tuned for chat: it continues what you write (mode completion).
    End with Ctrl-D. Examples:

      aiplat chat --once "What is the capital of Italy?" --temperature 0

      aiplat chat ward-3/site.yaml --model qwen3:4b
    """
    from aiplat.cli.look_chat import Wish, talk  # noqa: PLC0415

    talk(site, Wish(model, mode, temperature, max_tokens), once, as_json=as_json)


def env(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Print shell exports with which any OpenAI or Ollama client, curl and kubectl reach a site.

    Use it as `eval "$(aiplat env)"`. The lines hold the API key: take care where you show them.
    SSL_CERT_FILE names a file with the system's authorities and the site's own. The URLs are those of
    `aiplat tunnel` while that is open.
    """
    from aiplat.cli.look_env import show_environment  # noqa: PLC0415

    show_environment(site, as_json=as_json)
