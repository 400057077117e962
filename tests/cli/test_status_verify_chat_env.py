"""status, verify, chat and env as a user and a script see them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from aiplat.cli import chat, env, status, verify
from aiplat.errors import AiplatError
from aiplat.state import site_dir
from aiplat.vault.store import ensure_secrets
from tests.cluster import kube as given
from tests.patience import PATIENCE
from tests.verify.loopback import Loopback

AIPLAT = (sys.executable, "-c", "from aiplat.cli.main import main; main()")


@pytest.fixture
def site_file(healthy: Loopback, tmp_path: Path) -> Path:
    """The healthy site as a file."""
    path = tmp_path / "site.yaml"
    with path.open("w") as stream:
        YAML(typ="safe").dump(healthy.site.model_dump(mode="json", by_alias=True, exclude_none=True), stream)
    return path


@dataclass(frozen=True)
class Done:
    """How a verb ended."""

    returncode: int
    stdout: str
    stderr: str


def aiplat(*arguments: str | Path, words: str = "") -> Done:
    """Run a verb in this process, which spares each test the seconds that libraries take to load."""
    app = typer.Typer()
    for verb in (status, verify, chat, env):
        verb.register(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=words)
    error = result.exception
    if isinstance(error, AiplatError):
        said = "\n".join(str(finding) for finding in error.findings)
        return Done(error.exit_code, result.stdout, result.stderr + said)
    assert error is None or isinstance(error, SystemExit)
    return Done(result.exit_code, result.stdout, result.stderr)


def test_status_prints_tables_or_one_document(site_file: Path) -> None:
    """Both exit with 0 where the cluster could be asked."""
    table = aiplat("status", site_file)
    assert (table.returncode, "nothing needs attention" in table.stdout) == (0, True)
    document = json.loads(aiplat("status", site_file, "--json").stdout)
    assert (document["kind"], document["attention"]) == ("Status", [])


def test_status_exits_with_1_where_the_cluster_cannot_be_asked(site_file: Path, healthy: Loopback) -> None:
    """Whoever asks programmatically takes no silence for health; the document is whole and says why."""
    assert aiplat("status", site_file).returncode == 0
    (site_dir(healthy.site.name) / "kubeconfig").unlink()
    done = aiplat("status", site_file, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["kind"], document["kubernetes"]) == (1, "Status", "")
    assert document["attention"]
    assert {plane["state"] for plane in document["planes"]} <= {"unknown", "empty"}


def test_status_shows_what_needs_attention_first(site_file: Path, healthy: Loopback) -> None:
    """The broken plane is the first row, and the sentence stands above the table."""
    healthy.kube.lists["secrets"].append(given.release("gateway", "aiplat-access", "failed", 2))
    lines = aiplat("status", site_file).stdout.splitlines()
    attention = next(n for n, line in enumerate(lines) if line.startswith("! gateway: its release is failed"))
    header = next(n for n, line in enumerate(lines) if "Component" in line)
    assert attention < header
    assert lines[header + 2].strip().startswith("Access / Orchestration")


def test_verify_exits_with_3_when_a_check_found_something(site_file: Path, healthy: Loopback) -> None:
    """0 before, 3 after; the report is complete either way."""
    good = aiplat("verify", site_file, "--json")
    assert (good.returncode, good.stderr) == (0, "")
    healthy.kube.lists["nodes"] = []
    bad = aiplat("verify", site_file, "--json")
    report = json.loads(bad.stdout)
    assert (bad.returncode, report["kind"]) == (3, "Report")
    assert {r["sentence"] for r in report["results"] if r["result"] == "FAIL"} == {
        "Every host is a Ready node."
    }


def test_verify_shows_what_is_wrong_first(site_file: Path, healthy: Loopback) -> None:
    """Then the rest, then the totals."""
    healthy.kube.lists["nodes"] = []
    done = aiplat("verify", site_file)
    rows = [
        line.split()[0]
        for line in done.stdout.splitlines()
        if line.split()[:1] and line.split()[0] in {"OK", "FAIL"}
    ]
    assert rows[0] == "FAIL"
    assert "OK" in rows
    assert "1 FAIL" in done.stdout


def test_chat_answers_once(site_file: Path) -> None:
    """Plain for people, a document for programs."""
    assert aiplat("chat", site_file, "--once", "1, 2, 3, 4,").stdout == " 5, 6, 7\n"
    answer = json.loads(aiplat("chat", site_file, "--once", "1, 2, 3, 4,", "--json").stdout)
    assert (answer["answer"], answer["mode"]) == (" 5, 6, 7", "completion")
    assert answer["usage"] == {"prompt": 11, "completion": 5}


def test_chat_goes_on_until_the_input_ends(site_file: Path) -> None:
    """In a pipe there are no prompts; empty lines ask nothing."""
    done = aiplat("chat", site_file, "--mode", "chat", words="one\n\ntwo\n")
    assert (done.returncode, done.stdout) == (0, " 5, 6, 7\n 5, 6, 7\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--json",), "--json: needs a prompt to answer; add --once PROMPT"),
        (("--mode", "sing", "--once", "x"), "--mode: sing is not a mode; one of chat, completion"),
    ],
)
def test_options_that_do_not_fit_are_bad_input(
    site_file: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2 and a sentence."""
    done = aiplat("chat", site_file, *arguments)
    assert (done.returncode, done.stderr.strip()) == (2, said)


def test_a_model_that_is_not_served_is_a_sentence(site_file: Path) -> None:
    """Exit code 1; the gateway's own words."""
    done = aiplat("chat", site_file, "--model", "gpt-9", "--once", "x")
    assert done.returncode == 1
    assert "The model 'gpt-9' does not exist here" in done.stderr


@pytest.mark.parametrize("verb", ["env", "chat"])
def test_a_site_that_was_never_bootstrapped_is_bad_input(
    site_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Exit code 2; what to run is said."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "empty"))
    done = aiplat(verb, site_file, *(["--once", "x"] if verb == "chat" else []))
    assert done.returncode == 2
    assert "run `aiplat bootstrap`" in done.stderr


def test_a_shell_takes_the_exports_whatever_is_in_them(
    site_file: Path, healthy: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state folder with blanks, quotes and a dollar sign comes through `eval` unharmed."""
    state = tmp_path / 'it\'s a "$HOME" `x`'
    monkeypatch.setenv("AIPLAT_STATE", str(state))
    secrets = ensure_secrets(healthy.site, lab=True)
    lines = aiplat("env", site_file).stdout
    script = f'{lines}\nprintf "%s\\n" "$OPENAI_API_KEY" "$SSL_CERT_FILE" "$OLLAMA_HOST"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    key, file, host = shell.stdout.splitlines()
    assert key == secrets.api_key
    assert Path(file).is_relative_to(state)
    assert host == f"https://{healthy.address}"


def test_env_is_silent_in_a_pipe_and_warns_on_a_terminal(site_file: Path) -> None:
    """A key on a screen is worth a word; `eval` must not be disturbed."""
    assert aiplat("env", site_file).stderr == ""
    ours, theirs = pty.openpty()
    command = [*AIPLAT, "env", str(site_file)]
    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE
    )
    os.close(theirs)
    os.close(ours)
    assert "these lines hold the API key" in done.stderr


def test_the_command_itself_ends_with_the_right_code(site_file: Path, healthy: Loopback) -> None:
    """As a process: the exit code that scripts see, and nothing but the document on standard output."""
    healthy.kube.lists["nodes"] = []
    command = [*AIPLAT, "verify", str(site_file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (3, "")
    assert json.loads(done.stdout)["kind"] == "Report"


def test_env_prints_a_document_on_request(site_file: Path, healthy: Loopback) -> None:
    """For programs that set variables themselves."""
    told = json.loads(aiplat("env", site_file, "--json").stdout)
    assert told["OPENAI_BASE_URL"] == f"https://{healthy.address}/v1"


@pytest.mark.parametrize("verb", ["status", "verify", "chat", "env"])
def test_help_teaches(verb: str) -> None:
    """Each verb says what it is for and what SITE may be."""
    done = aiplat(verb, "--help")
    assert done.returncode == 0
    assert "A site.yaml, its folder, or a built-in site" in " ".join(done.stdout.replace("│", " ").split())
