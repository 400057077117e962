"""The `aiplat` command: joins the verbs of the other cli modules and prints errors; does no work itself."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from aiplat.catalog.kept_digests import watch_hashing
from aiplat.cli import ending
from aiplat.cli.hashing import HashingLines
from aiplat.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, AiplatError, Finding

# Typer and Rich load inside `main`, where Ctrl-C is already answered with a sentence.
if TYPE_CHECKING:
    import typer

# Verb → module that offers `register(app)`; modules are loaded here and nowhere else.
_VERBS = {
    "init": "init",
    "site": "site",
    "secret": "secret",
    "vault": "vault",
    "catalog": "catalog",
    "component": "component",
    "lock": "lock",
    "bundle": "bundle",
    "lab": "lab",
    "plan": "plan",
    "fit": "fit",
    "bootstrap": "bootstrap",
    "status": "status",
    "verify": "verify",
    "chat": "chat",
    "env": "env",
    "kubeconfig": "kubeconfig",
    "hosts": "hosts",
    "sign-in": "sign_in",
    "usage": "usage",
    "users": "users",
    "login": "login",
    "logout": "login",
    "logs": "logs",
    "tunnel": "tunnel",
    "node": "node",
    "reset": "reset",
    "model": "model",
    "serve": "serve",
    "doctor": "doctor",
}
_NOT_UNDERSTOOD = Finding(
    "command line", "is not what the verb takes", "standard error says more, and so does --help"
)


def command_line(asked: str = "") -> typer.Typer:
    """Return the command line with the verb asked for, or with every verb where that is none of them."""
    import typer  # noqa: PLC0415

    from aiplat.cli.version import before_a_verb  # noqa: PLC0415

    app = typer.Typer(
        name="aiplat",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Turn bare hosts into a local-first AI platform, and look at what is there.",
    )
    # With a callback Typer keeps a verb's name also where only one verb was loaded.
    app.callback()(before_a_verb)
    # Loading all takes a second of processor time, so a known verb is loaded alone.
    names = [_VERBS[asked]] if asked in _VERBS else dict.fromkeys(_VERBS.values())
    for name in names:
        importlib.import_module(f"aiplat.cli.{name}").register(app)
    return app


def in_paragraphs(command: Any) -> Any:
    """Have a command and those in it show help as wide as the terminal, whatever the width of this source.

    An indented paragraph is an example and stays as it is.
    """
    parts = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(part if part.startswith(" ") else part.replace("\n", " ") for part in parts)
    for inner in getattr(command, "commands", {}).values():
        in_paragraphs(inner)
    return command


def main() -> None:
    """Run the command line; findings go to stderr, one a line, and decide the exit code."""
    ending.begin()

    watch_hashing(HashingLines(lambda line: _tell(line, "dim")))
    try:
        from typer.main import get_command  # noqa: PLC0415

        in_paragraphs(get_command(command_line(*sys.argv[1:2])))(prog_name="aiplat")
    except AiplatError as error:
        _fail(error)
    except OSError as error:
        _fail(AiplatError(ending.of_machine(error)))
    except (KeyboardInterrupt, SystemExit) as ended:
        # Typer answers a KeyboardInterrupt first: it silently becomes the exit code.
        code = EXIT_INTERRUPTED if isinstance(ended, KeyboardInterrupt) else ended.code
        if code != EXIT_INTERRUPTED:
            if code == EXIT_BAD_INPUT:
                ending.end_badly(sys.argv[1:], EXIT_BAD_INPUT, (_NOT_UNDERSTOOD,))
            raise
        ending.end_badly(sys.argv[1:], EXIT_INTERRUPTED, ())
        _tell("interrupted: nothing more was done; run the same command again to go on", "yellow")
        sys.exit(EXIT_INTERRUPTED)


def _fail(error: AiplatError) -> NoReturn:
    for finding in error.findings:
        _tell(str(finding), "red")
    ending.end_badly(sys.argv[1:], error.exit_code, error.findings)
    sys.exit(error.exit_code)


def _tell(sentence: str, style: str) -> None:
    from aiplat.cli.terminal import Console  # noqa: PLC0415

    Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, style=style, markup=False)
