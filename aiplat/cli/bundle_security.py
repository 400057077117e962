"""The verbs of `aiplat bundle` that tell a security officer what is in it; reading it is aiplat.bundle's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import read_cards
from aiplat.bundle.check import verify
from aiplat.bundle.contents.read import Contents, contents_of
from aiplat.catalog.catalog import load_catalog
from aiplat.cli.arguments import JsonOption
from aiplat.cli.bundle_choice import SiteOrBundle, chosen_bundle
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.content import write_atomic
from aiplat.errors import AiplatError, BadInput, CheckFailed, Finding
from aiplat.site.findings import did_you_mean

_Image = Annotated[str, typer.Option(help="One image alone, by its name or the last part of it.")]
_Platform = Annotated[str, typer.Option(help="Which of an image's platforms, where it has several.")]
_Out = Annotated[
    Path | None, typer.Option(help="A file, or a folder for the whole and a document of each image.")
]
_Advisories = Annotated[Path | None, typer.Option(help="A folder of advisories in OSV's format.")]
_Csv = Annotated[bool, typer.Option("--csv", help="Print it for a spreadsheet.")]
_Markdown = Annotated[bool, typer.Option("--markdown", help="Print it as a document.")]


def register_security(app: typer.Typer) -> None:
    """Add the verbs to `aiplat bundle`."""
    app.command()(sbom)
    app.command()(licences)
    app.command()(scan)


def sbom(site: SiteOrBundle = None, image: _Image = "", platform: _Platform = "", out: _Out = None) -> None:
    """Write the bill of materials of the bundle as CycloneDX 1.6: its artifacts, and what is inside of each.

    It is read out of the bundle, and nothing is fetched: Debian's and Alpine's packages, distributions of
    Python, the modules of Go programs, programs that no package owns, models with their revision and licence.
    What no reader knows is named in it as `aiplat:unread`. The same bundle gives the same document.
    """
    from aiplat.bundle.sbom import sbom_of_bundle, sbom_of_image  # noqa: PLC0415 - a second to load

    bundle = Bundle.open(chosen_bundle(site))
    catalog = load_catalog()
    if image:
        one = _one(read_contents(bundle, _image_name(bundle, image)), platform)
        _write(out, sbom_of_image(one, catalog))
        return
    contents = read_contents(bundle)
    _write(out, sbom_of_bundle(bundle, contents, read_cards(bundle.path), catalog))
    if out and out.is_dir():
        for each in (one for one in contents if one.artifact.kind == "image"):
            _write(out / _file_name(each), sbom_of_image(each, catalog))


def licences(
    site: SiteOrBundle = None,
    as_json: JsonOption = False,
    as_csv: _Csv = False,
    as_markdown: _Markdown = False,
) -> None:
    """List the licence of every component, model and package, what asks for attention first.

    A licence is an SPDX expression where what the package says can be mapped to one for sure, else its words;
    one that says nothing is listed as unknown. Models and packages with conditions beyond notices (Gemma's
    terms, Llama's, Open WebUI's branding) come first, with those conditions. It is not legal advice.
    """
    from aiplat.bundle.licences import licence_lines, licences_document  # noqa: PLC0415 - a second to load
    from aiplat.cli.bundle_licences import as_csv_text, as_markdown_text, show_licences  # noqa: PLC0415

    if as_json + as_csv + as_markdown > 1:
        raise BadInput(Finding("bundle licences", "is asked for in several forms", "say one of them"))
    bundle = Bundle.open(chosen_bundle(site))
    contents = read_contents(bundle)
    lines = licence_lines(contents, read_cards(bundle.path), load_catalog())
    unread = [f"{one.artifact.label}: {text}" for one in contents for text in one.unread]
    if as_json:
        print_json(licences_document(bundle, lines, unread))
    elif as_csv:
        typer.echo(as_csv_text(lines), nl=False)
    elif as_markdown:
        typer.echo(as_markdown_text(bundle, lines, unread), nl=False)
    else:
        show_licences(lines, unread)


def scan(site: SiteOrBundle = None, advisories: _Advisories = None, as_json: JsonOption = False) -> None:
    """Show what the scan of each model found, and which packages a folder of advisories names.

    With --advisories the packages are compared with vulnerabilities in OSV's format (JSON files, or the
    all.zip of an ecosystem: PyPI, Go, Debian, Ubuntu, Alpine), which somebody put there: nothing is fetched.
    The report names the day on which the newest of them was changed. Exit code 3 if a package is named.
    """
    from aiplat.cli.bundle_scan import show_scan  # noqa: PLC0415 - a second to load

    bundle = Bundle.open(chosen_bundle(site))
    # Cards are found through index.json: what it says counts only where it is the bundle's own.
    if altered := verify(bundle.path, []):
        raise CheckFailed(altered)
    contents = read_contents(bundle) if advisories else []
    show_scan(bundle, contents, advisories, as_json=as_json)


def read_contents(bundle: Bundle, image: str = "") -> list[Contents]:
    """Return what is in a bundle, and say on the terminal what is being read."""
    with Console(stderr=True).status("look into the bundle") as status:
        return contents_of(bundle, image, lambda label: status.update(f"look into {label}"))


def _image_name(bundle: Bundle, said: str) -> str:
    names = {a.name for a in bundle.lock.of("image")}
    found = sorted(name for name in names if said in {name, name.rpartition("/")[2]})
    if len(found) == 1:
        return found[0]
    problem = f"could be {' or '.join(found)}" if found else "is not in the bundle"
    hint = "say its whole name" if found else did_you_mean(said, names, "the bundle has")
    raise BadInput(Finding(f"image {said}", problem, hint))


def _one(contents: list[Contents], platform: str) -> Contents:
    there = [one.platform for one in contents]
    if not platform and len(contents) == 1:
        return contents[0]
    if platform in there:
        return contents[there.index(platform)]
    problem = f"is not for {platform}" if platform else "is for several platforms"
    raise BadInput(Finding(contents[0].artifact.label, problem, f"--platform {' or '.join(there)}"))


def _file_name(contents: Contents) -> str:
    artifact = contents.artifact
    return re.sub(r"[^\w.-]+", "_", f"{artifact.name}_{artifact.version}_{contents.platform}") + ".cdx.json"


def _write(out: Path | None, document: object) -> None:
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    target = out / "bundle.cdx.json" if out.is_dir() else out
    try:
        write_atomic(target, text.encode())
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise AiplatError(Finding(str(target), problem, "name another file with --out")) from None
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"wrote {target}", markup=False)
