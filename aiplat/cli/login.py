"""The verbs `aiplat login` and `aiplat logout`: a person's session at the site's sign-in."""

from __future__ import annotations

import ssl
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.certificates import fault_of_certificates
from aiplat.state import expanded

if TYPE_CHECKING:
    from aiplat.actions.login import LoginProvider

IssuerOption = Annotated[
    str | None, typer.Option("--issuer", metavar="URL", help="Sign in there, without a site file.")
]
ClientOption = Annotated[str, typer.Option("--client", metavar="ID", help="As which client, with --issuer.")]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="PEM of who vouches for the issuer. Default: the site's CA."),
]

CaDataOption = Annotated[
    str, typer.Option("--ca-data", metavar="BASE64", help="The same, in itself: what a kubeconfig has.")
]

ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="NAME", help="What is asked for, with --issuer; once for each."),
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(login)
    app.command()(logout)


def login(  # noqa: PLR0913, PLR0917 - one parameter an option
    site: SiteArgument = None,
    issuer: IssuerOption = None,
    client: ClientOption = "portal-cli",
    ca: CaOption = None,
    ca_data: CaDataOption = "",
    scope: ScopeOption = None,
    token_only: Annotated[
        bool, typer.Option("--token-only", help="Print the ID token: `Authorization: Bearer` of the API.")
    ] = False,
    exec_credential: Annotated[
        bool, typer.Option("--exec-credential", help="Print what kubectl takes from a credential plugin.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Sign in to a site by name, with a browser on this machine.

    An address is printed on standard error: open it. The answer is waited for on 127.0.0.1, port 8400 to
    8402; over SSH have it led there (ssh -L 8400:127.0.0.1:8400). The session is kept for the next command,
    readable by you alone, and gets new tokens by itself where the sign-in gives them.

    Exit codes: 0 signed in, 1 nobody signed in or the issuer does not answer, 2 bad input or no sign-in.
    """
    from aiplat.actions.login import log_in, logged_in  # noqa: PLC0415 - only this verb pays for it

    if sum((token_only, exec_credential, as_json)) > 1:
        raise BadInput(
            Finding("login", "prints one thing", "use one of --token-only, --exec-credential, --json")
        )
    provider = _provider(site, issuer, client, (ca, ca_data))
    provider = replace(provider, scopes=tuple(scope)) if scope else provider
    known = logged_in(provider) or log_in(provider, _tell)
    if token_only:
        typer.echo(known.id_token)
    elif exec_credential:
        print_json(known.exec_credential())
    elif as_json:
        print_json({"kind": "Login", "issuer": provider.issuer, "name": known.name, "expires": known.expires})
    else:
        typer.echo(f"signed in at {provider.issuer} as {known.name}")


def logout(
    site: SiteArgument = None,
    issuer: IssuerOption = None,
    client: ClientOption = "portal-cli",
    ca: CaOption = None,
    ca_data: CaDataOption = "",
) -> None:
    """Forget the session that `aiplat login` keeps; the browser's own ends in the portal.

    Exit codes: 0 forgotten, or there was none; 2 bad input or no sign-in.
    """
    from aiplat.actions.login import log_out  # noqa: PLC0415 - only this verb pays for it

    there = log_out(_provider(site, issuer, client, (ca, ca_data)))
    typer.echo("signed out" if there else "nobody was signed in")


def _provider(
    site: str | None, issuer: str | None, client: str, vouching: tuple[Path | None, str]
) -> LoginProvider:
    from aiplat.actions.login import LoginProvider, provider_of_site  # noqa: PLC0415 - as above
    from aiplat.site.find import find_site  # noqa: PLC0415 - as above
    from aiplat.site.load import load_site  # noqa: PLC0415 - as above

    ca, data = vouching
    if ca and data:
        raise BadInput(Finding("--ca-data", "says what --ca says too", "give one of them"))
    authorities = _certificates(data)
    ca = ca and expanded(ca)
    if ca and (fault := fault_of_certificates(ca)):
        raise BadInput(Finding("--ca", *fault))
    if issuer is not None:
        if not issuer.startswith("https://"):
            raise BadInput(Finding("--issuer", "is not an https:// address", "name the issuer's own"))
        return LoginProvider(issuer, client, ca, authorities=authorities)
    known = provider_of_site(load_site(find_site(site)))
    return replace(known, ca=ca, authorities=authorities) if ca or authorities else known


def _certificates(data: str) -> str:
    try:
        text = b64decode(data, validate=True).decode("ascii")
        if text:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ValueError, ssl.SSLError):
        problem = "is not the base64 of certificates in PEM form"
        raise BadInput(Finding("--ca-data", problem, "copy all of it, or name a file by --ca")) from None
    return text


def _tell(address: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("Open this in a browser on this machine:", markup=False)
    console.print(address, markup=False)
