"""A verb that fails ends with a document for programs too, whichever verb it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from aiplat.cli.main import command_line
from aiplat.site.load import load_site
from aiplat.state import site_dir
from aiplat.vault.store import ensure_secrets
from tests.typed import Typed

# Each verb with `--json`, and arguments with which it cannot do its work.
FAULTS = {
    "init": "root@10.0.0.11 --name No-Name!",
    "site check": "gone.yaml",
    "site show": "gone.yaml",
    "component new": "no-plane thing",
    "secret set": "x gone.yaml",
    "secret list": "gone.yaml",
    "secret rm": "x gone.yaml",
    "users list": "gone.yaml",
    "users add": "ada gone.yaml --group member",
    "users groups": "ada gone.yaml --group member",
    "users link": "ada gone.yaml",
    "users lock": "ada gone.yaml",
    "users unlock": "ada gone.yaml",
    "users remove": "ada gone.yaml",
    "users team": "ada ward gone.yaml",
    "vault export": "file gone.yaml",
    "vault import": "file gone.yaml",
    "vault rotate": "ca --site gone.yaml",
    "lock": "gone.yaml",
    "logs": "gateway --site gone.yaml",
    "bundle build": "gone.yaml",
    "bundle verify": "gone.yaml",
    "bundle sign": "gone.yaml --key key",
    "bundle trust show": "gone.yaml",
    "bundle info": "gone.yaml",
    "bundle licences": "gone.yaml",
    "bundle scan": "gone.yaml",
    "bundle models": "gone.yaml",
    "bundle split": "gone.yaml --to gone",
    "bundle join": "gone --to here",
    "bundle push": "gone.yaml --to registry.example:5000",
    "bundle diff": "gone.yaml gone.yaml",
    "bundle card": "smollm2:135m gone.yaml",
    "lab up": "gone.yaml",
    "lab down": "gone.yaml",
    "lab status": "gone.yaml",
    "lab snapshot": "gone.yaml",
    "lab restore": "gone.yaml",
    "plan": "gone.yaml",
    "bootstrap": "gone.yaml --yes",
    "status": "gone.yaml",
    "verify": "gone.yaml",
    "chat": "gone.yaml --once hello",
    "env": "gone.yaml",
    "hosts": "gone.yaml",
    "sign-in": "gone.yaml",
    "usage": "gone.yaml",
    "tunnel": "gone.yaml",
    "node remove": "a1 gone.yaml --yes",
    "reset": "gone.yaml --yes",
    "doctor cluster": "--kubeconfig gone.yaml",
    "doctor gpu": "gone.yaml",
    "doctor hosts": "gone.yaml",
    "fit": "no-such-model",
    "login": "gone.yaml",
    "model deploy": "notes --site gone.yaml",
    "model list": "--site gone.yaml",
    "model expose": "notes --site gone.yaml",
    "model pull": "notes --site gone.yaml",
    "model delete": "notes --site gone.yaml --yes",
}
# They show what is shipped and are given nothing that could be wrong.
NEVER_FAIL = {"catalog", "catalog models", "site rules"}

COMPANY = """
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward-3
hosts: [{name: s1, address: 10.0.0.11, role: server}]
signIn:
  issuer: https://id.example.com
  clientSecret: {fromSecret: sign-in}
  groups: {admin: [admins]}
"""


def with_json() -> list[str]:
    """Return every verb of the command line that has `--json`."""

    def walk(command: Any, path: tuple[str, ...]) -> list[str]:
        inner = getattr(command, "commands", {})
        own = [" ".join(path)] if any("--json" in parameter.opts for parameter in command.params) else []
        return own + [verb for name, one in inner.items() for verb in walk(one, (*path, name))]

    return walk(typer.main.get_command(command_line()), ())


@pytest.fixture
def ended(
    monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path
) -> Callable[[str], tuple[int, list[dict[str, Any]], str]]:
    """Run a command line in this process; return exit code, JSON lines and what people were told."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> tuple[int, list[dict[str, Any]], str]:
        code, out, err = typed(*words.split())
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def test_the_table_has_every_verb() -> None:
    """A new verb gets its fault here."""
    assert sorted(FAULTS) == sorted(set(with_json()) - NEVER_FAIL)


@pytest.mark.parametrize("verb", FAULTS)
def test_a_verb_that_fails_ends_with_one_document(
    ended: Callable[[str], tuple[int, list[dict[str, Any]], str]], verb: str
) -> None:
    """It names the verb, how it ended and every finding that people are told on standard error."""
    code, lines, told = ended(f"{verb} {FAULTS[verb]} --json")
    assert code in (1, 2), told
    last = lines[-1]
    assert [line for line in lines if line.get("kind") == last["kind"]] == [last]
    assert last["findings"], last
    if last["kind"] == "Summary":
        assert (last["verb"], last["exitCode"]) == (verb, code)
        assert last["state"] == ("refused" if code == 2 else "failed")
        assert all(finding["problem"] in told for finding in last["findings"])


def test_a_verb_that_printed_its_document_prints_no_second(
    ended: Callable[[str], tuple[int, list[dict[str, Any]], str]], tmp_path: Path
) -> None:
    """What is wrong with a site file is in the report of `site check` itself."""
    (tmp_path / "bad.yaml").write_text("kind: Site\n")
    code, lines, _ = ended("site check bad.yaml --json")
    assert (code, len(lines)) == (2, 1)
    assert lines[0]["kind"] != "Summary"


@pytest.mark.parametrize(
    "words", ["users add ada", "users add ada --gruop member", "usres list", "fit a b c"]
)
def test_a_command_line_that_is_not_understood_ends_with_a_document_too(
    ended: Callable[[str], tuple[int, list[dict[str, Any]], str]], words: str
) -> None:
    """People are told what is wrong with it on standard error."""
    code, (document,), told = ended(f"{words} --json")
    assert (code, document["state"], document["exitCode"]) == (2, "refused", 2)
    assert [finding["where"] for finding in document["findings"]] == ["command line"]
    assert "Usage: aiplat" in told


@pytest.mark.parametrize(
    "words",
    ["sign-in company.yaml", "hosts company.yaml", "secret list company.yaml", "site rules", "lab status"],
)
def test_every_document_of_a_kind_says_which_version_it_is_of(
    ended: Callable[[str], tuple[int, list[dict[str, Any]], str]], words: str, tmp_path: Path
) -> None:
    """Keys are written alike in all of them, as in a site file."""
    (tmp_path / "company.yaml").write_text(COMPANY)
    *_, document = ended(f"{words} --json")[1]
    assert document["apiVersion"] == "aiplat.dev/v1alpha1"
    assert document["kind"] != "Summary"
    assert not [key for key in document if "_" in key]


def test_people_get_no_document(ended: Callable[[str], tuple[int, list[dict[str, Any]], str]]) -> None:
    """Without --json standard output stays empty."""
    assert ended("lock gone.yaml")[:2] == (2, [])


GUEST = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: guest
supply: packages
cluster: {existing: ./kubeconfig, registry: "127.0.0.1:1/aiplat"}
models: [{name: "smollm2:135m"}]
"""
# What asks an existing cluster, each in its own way; `verify` makes a check of it that fails.
ASKS_THE_CLUSTER = (
    "plan",
    "bootstrap --yes",
    "reset --yes",
    "status --json",
    "chat --once hello",
    "tunnel",
    "doctor cluster --kubeconfig kubeconfig",
    "model list --site",
    "model deploy smollm2:135m --site",
    "logs gateway --site",
    "usage",
)


@pytest.mark.parametrize("verb", ASKS_THE_CLUSTER)
def test_an_existing_cluster_that_does_not_answer_ends_every_verb_alike(
    ended: Callable[[str], tuple[int, list[dict[str, Any]], str]], tmp_path: Path, verb: str
) -> None:
    """Exit code 1, as a host that is not reached, and no word of hosts: the site has none."""
    server = {"server": "http://127.0.0.1:1"}  # where nobody listens
    named = {"clusters": [{"name": "c", "cluster": server}], "users": [{"name": "u", "user": {}}]}
    named |= {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
    (tmp_path / "kubeconfig").write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **named}))
    (tmp_path / "guest.yaml").write_text(GUEST)
    ensure_secrets(load_site(tmp_path / "guest.yaml"), lab=True)
    (site_dir("guest") / "kubeconfig").write_text((tmp_path / "kubeconfig").read_text())
    code, lines, told = ended(verb if verb.startswith("doctor") else f"{verb} guest.yaml")
    said = told + "".join(sentence for line in lines for sentence in line["attention"])
    assert (code, "cannot be asked: Connection refused" in said) == (1, True), said
    assert "host" not in said
