"""`aiplat chat`; the conversation on a terminal is in chat_terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.cli.arguments import SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="chat")(chat)


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
    # What reaches a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.chat_terminal import ChatOptions, talk  # noqa: PLC0415

    talk(site, ChatOptions(model, mode, temperature, max_tokens), once, as_json=as_json)
