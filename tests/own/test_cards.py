"""The bundle holds a card of each model, for whoever signs it off."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from aiplat.bundle.build import open_ready
from aiplat.bundle.cards import CARD, read_cards
from aiplat.bundle.check import verify
from aiplat.content import parsed_json
from aiplat.errors import BadInput
from aiplat.site.models import Site
from aiplat.state import bundle_dir
from aiplat.supply.oci import read_json
from tests.own.test_scan import built
from tests.own.worlds import gguf_bytes, laid, ward
from tests.typed import Typed

README = b"# Ward notes\nTuned on our own notes. \x1b[31m{{ secret }}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a model of its own, whose folder has a README."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes(), "README.md": README})
    return ward(tmp_path, {"from": "./m"})


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path) -> Typed:
    """Run `aiplat bundle …` beside the site; return exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return partial(typed, "bundle")


def test_a_card_is_a_referrer_in_a_whole_bundle(site: Site) -> None:
    """It names the image it is about, its blobs are among the bundle's files, and a second build keeps it."""
    bundle = built(site)
    listed = parsed_json((bundle.path / "index.json").read_bytes())["manifests"]
    (referrer,) = [one for one in listed if one.get("artifactType") == CARD]
    assert read_json(bundle.path, referrer["digest"])["subject"]["digest"] == bundle.lock.artifacts[0].digest
    assert verify(bundle.path) == []
    assert built(site).document == bundle.document
    assert open_ready(site, bundle.lock)


def test_a_card_says_what_is_to_be_known(site: Site, tmp_path: Path) -> None:
    """Source, licence with its real conditions, shape, and the scan with scanner, version and date."""
    (card,) = read_cards(built(site).path)
    assert card.source == str(tmp_path / "m")
    assert card.licence.name == "Gemma Terms of Use"
    assert len(card.licence.conditions) == 5
    assert (card.architecture, card.quantisation, card.context_length) == ("llama", "F16", 2048)
    assert card.parameters == "4M"
    assert (card.scan.scanner, card.scan.pickles) == ("picklescan", 0)
    assert [file.name for file in card.scan.files] == ["model.gguf"]
    assert card.readme == README.decode()


def test_the_cards_are_shown(site: Site, aiplat: Typed) -> None:
    """As a table, one by one with the README, and for programs; a README cannot steer the terminal."""
    bundle = built(site)
    code, table, _ = aiplat("models")
    assert code == 0
    assert all(word in table for word in ("ward-notes:1b", "Gemma Terms of Use", "nothing found, picklescan"))
    code, shown, _ = aiplat("card", "ward-notes:1b")
    assert code == 0
    assert "Google may restrict use" in shown
    assert bundle.lock.artifacts[0].ref in shown
    assert "Tuned on our own notes. [31m{{ secret }}" in shown
    assert "\x1b" not in shown
    code, document, _ = aiplat("models", "--json")
    assert json.loads(document)["models"][0]["licence"]["spdx"] == "LicenseRef-Gemma"
    assert json.loads(aiplat("card", "ward-notes:1b", "--json")[1])["kind"] == "ModelCards"


def test_what_is_not_there_is_said(site: Site, aiplat: Typed) -> None:
    """Another name gets the nearest; a card that was altered is damage, not a card."""
    bundle = built(site)
    code, _, err = aiplat("card", "ward-notes:2b")
    assert code == 2
    assert 'did you mean "ward-notes:1b"?' in err
    listed = parsed_json((bundle.path / "index.json").read_bytes())["manifests"]
    digest = next(one["digest"] for one in listed if one.get("artifactType") == CARD)
    layer = read_json(bundle.path, digest)["layers"][0]["digest"]
    (bundle.path / "blobs" / "sha256" / layer.removeprefix("sha256:")).write_text("[]")
    assert aiplat("models")[0] == 2
    assert any("was altered" in finding.problem for finding in verify(bundle_dir("t-own")))


@pytest.mark.parametrize("digest", ["sha256:" + "../" * 12 + "etc/hostname", "sha256:" + "0" * 64, 7, None])
def test_a_card_leads_nowhere_else(site: Site, digest: object) -> None:
    """A bundle of others that names a file outside of it, or what it does not have, is damaged."""
    bundle = built(site)
    index = bundle.path / "index.json"
    listed = {"manifests": [{"artifactType": CARD, "digest": digest}]}
    index.write_text(json.dumps(listed))
    with pytest.raises(BadInput, match="its cards cannot be read; make the bundle again"):
        read_cards(bundle.path)
    index.write_text(json.dumps({"manifests": ["sha256:1"]}))
    with pytest.raises(BadInput, match="its cards cannot be read"):
        read_cards(bundle.path)
