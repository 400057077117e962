"""`aiplat bundle` as a person and as a program meet it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aiplat.actions import make_bundle
from aiplat.bundle.bundle import Bundle
from aiplat.cli import bundle as verbs
from aiplat.cli.run_watch import LineWatch
from aiplat.lab.driver import ignore_events
from aiplat.runs.journal import Journal
from aiplat.runs.run import Run
from aiplat.runs.stop import StopRequest
from aiplat.supply import packages
from aiplat.supply.choose import Choice
from tests.supply.worlds import Workshop, lock, site, supply
from tests.typed import Typed

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward
hosts: [{name: s1, address: 10.0.0.11, role: server}]
"""


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path, workshop: Workshop) -> Typed:
    """Run `aiplat bundle …` beside a site.yaml; return exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.yaml").write_text(SITE)
    made = supply(tmp_path / "cache", workshop)
    monkeypatch.setattr(verbs, "resolve", lambda *_, **__: lock())
    chosen = Choice("packages", "packages, because a test says so")
    monkeypatch.setattr(verbs, "choose_supply", lambda _: chosen)
    monkeypatch.setattr(verbs, "supply_for", lambda *_: made)
    return partial(typed, "bundle")


def test_building_says_what_happens_and_where_it_is(aiplat: Typed) -> None:
    """Which supply and why, each artifact, and the folder; standard output stays empty."""
    code, out, err = aiplat("build")
    assert (code, out) == (0, "")
    assert "supply: packages, because a test says so" in err
    assert "hostfile tool: done" in err
    assert "bundle of ward is ready: " in err
    assert "bundle of ward was ready already" in aiplat("build")[2]


def test_building_for_programs_ends_with_a_summary(aiplat: Typed) -> None:
    """JSON lines on standard output; the second time nothing has changed."""
    lines = [json.loads(line) for line in aiplat("build", "--json")[1].splitlines()]
    assert {line["artifact"].partition(":")[0] for line in lines[:-1]} >= {"tool", "docker.io/example/server"}
    assert (lines[-1]["kind"], lines[-1]["changed"]) == ("Summary", 1)
    assert json.loads(aiplat("build", "--json")[1].splitlines()[-1])["changed"] == 0


def test_refreshing_says_what_is_newer_and_takes_it(
    aiplat: Typed, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --refresh what was fetched stays; with it the bundle's lock has the newer package."""
    versions = {"libc6": "2.36"}
    monkeypatch.setattr(packages, "newest", lambda _cache, _suite, _names: versions)
    server = "docker.io/example/server"
    workshop.debian = {server: {"bookworm/libc6": "2.36"}}
    aiplat("build")
    versions["libc6"] = workshop.debian[server]["bookworm/libc6"] = "2.37"
    assert "bundle of ward was ready already" in aiplat("build")[2]
    lines = aiplat("build", "--refresh")[2].splitlines()
    assert f"image {server}: libc6 2.36 → 2.37" in lines
    assert lines[-1].startswith("bundle of ward is ready: ")
    assert "Debian has no newer packages than those that are kept" in aiplat("build", "--refresh")[2]
    versions["libc6"] = "2.38"
    event = json.loads(aiplat("build", "--refresh", "--json")[1].splitlines()[0])
    assert (event["event"], event["packages"]) == ("aged", {"libc6": ["2.37", "2.38"]})


def test_bootstrap_says_of_a_bundle_in_a_log_what_bundle_build_says(
    aiplat: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same lines for every artifact that is made, on standard error and without carriage returns."""
    made = supply(tmp_path / "second cache", Workshop())
    monkeypatch.setattr(make_bundle, "supply_for", lambda *_: made)
    watch = LineWatch(yes=True, on_lab=ignore_events)
    run = Run(Journal("ward", "bootstrap"), watch.on_event, StopRequest("r"))
    make_bundle.complete_bundle(run, site(), lock())
    out, err = capsys.readouterr()
    ours = [line for line in err.splitlines() if not line.startswith("bundle: ")]
    theirs = aiplat("build")[2].splitlines()[1:-1]
    assert sorted(ours) == sorted(theirs)
    assert len(ours) == 2 * len(lock().artifacts) + len(lock().of("model"))  # which are scanned
    assert (out, "\r" in err) == ("", False)


def test_a_whole_bundle_is_said_to_be_whole(aiplat: Typed) -> None:
    """Also for a bundle named by its folder."""
    aiplat("build")
    assert "whole, " in aiplat("verify")[1]
    path = json.loads(aiplat("info", "--json")[1])["path"]
    code, out, _ = aiplat("verify", path, "--json")
    assert (code, json.loads(out)["whole"]) == (0, True)


def test_a_flipped_bit_exits_with_3_and_names_the_file(aiplat: Typed, bundle: Bundle) -> None:
    """For people on standard error, for programs in the document."""
    victim = bundle.blob_path(str(bundle.lock.of("model")[0].digest))
    content = bytearray(victim.read_bytes())
    content[0] ^= 1
    victim.write_bytes(content)
    name = str(victim.relative_to(bundle.path))
    code, out, err = aiplat("verify")
    assert (code, out) == (3, "")
    assert f"{name}: was altered: its content has another sha256; make the bundle again" in err
    code, out, _ = aiplat("verify", "--json")
    assert (code, [f["where"] for f in json.loads(out)["findings"]]) == (3, [name])


def test_info_lists_every_artifact(aiplat: Typed, bundle: Bundle) -> None:
    """The table and the document agree."""
    document = json.loads(aiplat("info", "--json")[1])
    assert [a["name"] for a in document["artifacts"]] == [a.name for a in bundle.lock.artifacts]
    table = aiplat("info")[1]
    assert all(kind in table for kind in ("hostfile", "image", "chart", "model"))


def test_without_a_bundle_the_next_command_is_named(aiplat: Typed) -> None:
    """Exit code 2, and what makes one."""
    code, _, err = aiplat("info")
    assert code == 2
    assert "there is no bundle; make one: aiplat bundle build" in err


def test_a_bundle_is_split_and_joined(aiplat: Typed, bundle: Bundle, tmp_path: Path) -> None:
    """Both say what they did; the second time nothing changes, and programs get a summary."""
    first, second, out = str(tmp_path / "first"), str(tmp_path / "second"), str(tmp_path / "out")
    code, said, _ = aiplat("split", "--size", "1MB", "--to", first, "--to", second)
    assert code == 0
    assert f"{first}: 1 of 1 parts" in said
    assert "1 parts written, 0 were there" in said
    summary = json.loads(aiplat("split", "--size", "1MB", "--to", first, "--json")[1].splitlines()[-1])
    assert (summary["kind"], summary["changed"], len(summary["parts"])) == ("Summary", 0, 1)
    code, said, _ = aiplat("join", first, second, "--to", out)
    assert (code, f"{out}: whole, " in said) == (0, True)
    summary = json.loads(aiplat("join", first, "--to", out, "--json")[1].splitlines()[-1])
    assert (summary["kind"], summary["changed"], summary["site"]) == ("Summary", 0, "ward")
    assert "join them: aiplat bundle join" in aiplat("verify", first)[2]
    assert aiplat("verify", out)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "4 apples"), "--size: 4 apples is not the size of a part; write 4GB, 700MB or 4GiB"),
        (("--size", "10KB"), "--size: 10KB is not the size of a part"),
        (("--parts", "2-3"), "--parts: 2-3 is not among the parts 1-1; write FIRST-LAST"),
        (("--parts", "x"), "--parts: x is not among the parts 1-1"),
    ],
)
def test_what_cannot_be_split_so_is_refused(
    aiplat: Typed, bundle: Bundle, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """With what to write instead; nothing is written."""
    code, _, err = aiplat("split", "--to", str(tmp_path / "m"), *words)
    assert (code, said in err) == (2, True)
    assert not list(tmp_path.glob("m/*"))


def test_what_differs_between_two_bundles_is_shown(
    aiplat: Typed, build: Callable[..., Bundle], tmp_path: Path
) -> None:
    """By artifact and by component, with the bytes to carry; nothing differs from itself."""
    shutil.copytree(build().path, tmp_path / "base")
    new = build("2.0.0")
    code, said, _ = aiplat("diff", str(tmp_path / "base"), str(new.path))
    assert code == 0
    assert "changed" in said
    assert "1.0.0 → 2.0.0" in said
    document = json.loads(aiplat("diff", str(tmp_path / "base"), str(new.path), "--json")[1])
    carried = json.loads(
        aiplat(
            "split", str(new.path), "--base", str(tmp_path / "base"), "--to", str(tmp_path / "m"), "--json"
        )[1].splitlines()[-1]
    )
    assert 0 < document["carry"] <= carried["size"] < document["size"]
    assert document["components"]["example"] > 0
    same = json.loads(aiplat("diff", str(new.path), str(new.path), "--json")[1])
    assert {row["state"] for row in same["artifacts"]} == {"same"}


def test_what_one_layer_store_saves_is_said(aiplat: Typed, bundle: Bundle) -> None:
    """Bytes that several artifacts share are there once."""
    document = json.loads(aiplat("info", "--json")[1])
    blobs = [blob for artifact in bundle.lock.artifacts for blob in artifact.blobs]
    once = {blob.digest: blob.size for blob in blobs}
    assert document["saved"] == sum(blob.size for blob in blobs) - sum(once.values())
    assert "MB are saved: layers that several artifacts have are there once" in aiplat("info")[1]
