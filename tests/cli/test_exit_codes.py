"""How every verb ends, whatever it meets: exit code, and what is said on standard error."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from aiplat.cli import main as module
from aiplat.errors import AiplatError, BadInput, CheckFailed, Finding
from aiplat.runs.run import StoppedError
from tests.patience import PATIENCE
from tests.typed import Ended, Typed

SENTENCE = "interrupted: nothing more was done; run the same command again to go on"
SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward
hosts: [{name: s1, address: 10.0.0.11, role: server}]
"""
# A command line of one verb, `wait`, that says `ready` and then waits for its standard input.
WAITING = """
import sys, types
import aiplat.cli.main as m
def wait():
    print("ready", flush=True)
    sys.stdin.read()
def register(app):
    {in_register}
    app.command(name="wait")(wait)
m._VERBS["wait"] = "waiting"
sys.modules["aiplat.cli.waiting"] = types.SimpleNamespace(register=register)
sys.argv = ["aiplat", "wait"]
m.main()
"""


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path) -> Typed:
    """Run the command line in this process; return exit code, standard output and standard error."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(SITE)
    (tmp_path / "bad.yaml").write_text(SITE.replace("server", "agent"))

    return typed


@pytest.mark.parametrize(
    ("arguments", "code", "where", "says"),
    [
        ("--help", 0, "out", "bootstrap"),
        ("bootstrap --help", 0, "out", "130 interrupted"),
        ("bundle build --help", 0, "out", "Usage: aiplat bundle build"),
        ("", 2, "out", "Usage: aiplat"),
        ("bootstrapp", 2, "err", "Did you mean 'bootstrap'?"),
        ("plan --nonsense", 2, "err", "No such option: --nonsense"),
        ("plan one two", 2, "err", "unexpected extra argument"),
        ("bundle nonsense", 2, "err", "No such command 'nonsense'"),
        ("site schema", 0, "out", "apiVersion"),
        ("site check good.yaml", 0, "out", ""),
        ("site check bad.yaml", 2, "err", "server"),
        ("site check gone.yaml", 2, "err", "there is no such site file"),
        ("bundle info good.yaml", 2, "err", "there is no bundle"),
        ("bootstrap good.yaml --json", 2, "err", "add --yes"),
        ("catalog --json", 0, "out", "components"),
    ],
)
def test_a_command_line_ends_as_the_table_says(
    aiplat: Callable[..., Ended], arguments: str, code: int, where: str, says: str
) -> None:
    """0 where it was done, 2 where what was given cannot be worked with, and the words where they belong."""
    ended, out, err = aiplat(*arguments.split())
    assert (ended, says in {"out": out, "err": err}[where]) == (code, True), out + err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (None, 0, ""),
        (AiplatError(Finding("s1", "broke", "mend it")), 1, "s1: broke; mend it\n"),
        (AiplatError([Finding("s1", "broke"), Finding("s2", "too")]), 1, "s1: broke\ns2: too\n"),
        (BadInput(Finding("name", "is wrong")), 2, "name: is wrong\n"),
        (CheckFailed(Finding("the API", "does not answer")), 3, "the API: does not answer\n"),
        (typer.Exit(3), 3, ""),
        (StoppedError(Finding("run r", "interrupted")), 130, "run r: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/state"),
            1,
            "/state: refuses to go on: No space left on device; make room there, or point AIPLAT_STATE and "
            "XDG_CACHE_HOME at folders that can be written to; then run the same command again\n",
        ),
        (OSError(errno.EIO, "Input/output error"), 1, "this machine: refuses to go on: Input/output error\n"),
        (KeyboardInterrupt(), 130, f"{SENTENCE}\n"),
    ],
)
def test_what_a_verb_raises_decides_how_it_ends(
    aiplat: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException | None,
    code: int,
    says: str,
) -> None:
    """Findings one a line on standard error, nothing on standard output; an interruption has its sentence."""

    def verb() -> None:
        if raised:
            raise raised

    raising = SimpleNamespace(register=lambda app: app.command(name="raising")(verb))
    monkeypatch.setitem(sys.modules, "aiplat.cli.raising", raising)  # type: ignore[arg-type]
    monkeypatch.setitem(module._VERBS, "raising", "raising")
    assert aiplat("raising") == (code, "", says)


@pytest.mark.parametrize("spoiled", ["a file in its place", "nobody may write"])
def test_a_state_folder_that_cannot_be_is_said(
    aiplat: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spoiled: str
) -> None:
    """Whichever verb meets it first; for programs too."""
    base = tmp_path / "base"
    if spoiled == "nobody may write":
        base = Path("/proc/self")
    else:
        base.write_text("")
    monkeypatch.setenv("AIPLAT_STATE", str(base))
    for verb in ("status", "plan", "doctor hosts"):
        code, out, err = aiplat(*verb.split(), "good.yaml", "--json")
        assert (code, "refuses to go on" in err, "Traceback" in err) == (1, True, False), err
        assert json.loads(out.splitlines()[-1])["findings"][0]["where"].startswith(str(base))


def test_a_user_without_a_home_is_told(aiplat: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers that run with a number alone; a path of a user that does not exist is a path."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    for name in ("AIPLAT_STATE", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    code, _, err = aiplat("status", "good.yaml")
    assert (code, err) == (
        1,
        "HOME: is not set, and this user has no home folder; set HOME to a folder of your own\n",
    )
    assert aiplat("site", "check", "~no-such-user/site.yaml")[0] == 2


@pytest.mark.parametrize("arguments", ["fit --help", "catalog", "catalog --json"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_terminal_gets_what_it_can_show(encoding: str, arguments: str) -> None:
    """A character that it lacks does not end the command; JSON stays what it is."""
    command = [sys.executable, "-c", "from aiplat.cli.main import main; main()", *arguments.split()]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    if "--json" in arguments:
        assert json.loads(done.stdout.decode(encoding))["kind"]


@contextmanager
def _heard_control_c() -> Iterator[None]:
    # A test run in the background of a script ignores it, and what it starts would too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("in_register", ["pass", "wait()"])
def test_control_c_ends_with_130_and_a_sentence(in_register: str) -> None:
    """While a verb is at work, and also while it is still being loaded."""
    program = [sys.executable, "-c", WAITING.format(in_register=in_register)]
    pipe = subprocess.PIPE
    with _heard_control_c():
        process = subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, f"{SENTENCE}\n")


def test_the_version_is_said_without_a_verb(aiplat: Callable[..., Ended]) -> None:
    """A script learns which aiplat is there, and nothing else is printed."""
    code, said, complaint = aiplat("--version")
    assert (code, said, complaint) == (0, f"aiplat {installed_version('aiplat')}\n", "")
