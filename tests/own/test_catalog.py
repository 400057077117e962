"""A model of a site's own is resolved like any other, and pinned by what its files hold."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from aiplat.bundle.document import lock_digest
from aiplat.catalog import kept_digests
from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.lockfile import lock_path, read_lock, write_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import resolve, served_models, undeliverable
from aiplat.cli.hashing import HashingLines
from aiplat.cli.main import main
from aiplat.content import sha256_file
from aiplat.errors import BadInput
from aiplat.plan.fitting import fitted
from aiplat.plan.releases import served_weights
from aiplat.site.models import Site
from tests.own.worlds import CONFIG, gguf_bytes, laid, snapshot, ward


def pinned(site: Site) -> Artifact:
    """Return the artifact of the site's one model."""
    (artifact,) = resolve(site).of("model")
    return artifact


def test_the_lock_pins_content_size_and_what_the_files_say(tmp_path: Path) -> None:
    """Digest and bytes are the files'; shape, context and quantisation are their header's."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    artifact = pinned(ward(tmp_path, {"from": "./m"}))
    assert artifact.own
    assert artifact.own.size == (tmp_path / "m" / "notes.gguf").stat().st_size
    assert (artifact.own.family, artifact.own.quantisation) == ("llama", "F16")
    assert artifact.own.context_length == 2048
    assert artifact.own.features == ("completion", "chat")
    assert artifact.ref == "models.aiplat.internal/llama-cpp/ward-notes:1b"


def test_the_folder_may_move_and_another_content_is_another_model(tmp_path: Path) -> None:
    """What an artifact is made of is the content, not where it lies or what the file is called."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    first = pinned(ward(tmp_path, {"from": "./m"}))
    (tmp_path / "m" / "notes.gguf").rename(tmp_path / "other.gguf")
    assert pinned(ward(tmp_path, {"from": "./other.gguf"})).inputs == first.inputs
    (tmp_path / "other.gguf").write_bytes(gguf_bytes(weights=(2 << 20) + 1))
    assert pinned(ward(tmp_path, {"from": "./other.gguf"})).inputs != first.inputs


def test_weights_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that nobody touched is not read again; one that was written is, whatever time it claims."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    path, read = tmp_path / "m" / "notes.gguf", list[int]()
    monkeypatch.setattr(kept_digests, "_watchers", [lambda _path, done, _total: read.append(done)])
    first = kept_digests.kept_digest(path)
    assert kept_digests.kept_digest(path) == first == sha256_file(path)
    assert read == [path.stat().st_size]
    status = path.stat()
    path.write_bytes(gguf_bytes("{{ other }}"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    other = kept_digests.kept_digest(path)
    assert other == sha256_file(path) != first
    (tmp_path / "cache" / "aiplat" / "digests.json").write_text("no list")
    assert kept_digests.kept_digest(path) == other


def test_hashing_that_takes_long_says_how_far_it_is() -> None:
    """Nothing for two seconds, then a line every two seconds."""
    now, lines = [0.0], list[str]()
    told = HashingLines(lines.append, lambda: now[0])
    for second in range(6):
        now[0] = float(second)
        told(Path("m/notes.gguf"), second * 10**9, 8 * 10**9)
    assert [line.partition(" (")[0] for line in lines] == [
        "hash notes.gguf: 2000 of 8000 MB",
        "hash notes.gguf: 4000 of 8000 MB",
    ]


def test_what_it_needs_is_computed_from_its_files(tmp_path: Path) -> None:
    """Memory for the operator comes from shape and bytes of weights, on every engine."""
    laid(tmp_path / "g", **{"notes.gguf": gguf_bytes()})
    snapshot(tmp_path / "s")
    small = {"name": "small:1b", "engine": "vllm", "from": "./s"}
    store = {"name": "store:1b", "engine": "ollama", "from": "./g"}
    catalog = catalog_of(ward(tmp_path, {"from": "./g"}, store, small))
    for name, engine in (("ward-notes:1b", "llama-cpp"), ("store:1b", "ollama"), ("small:1b", "vllm")):
        component, model = catalog.component(engine), catalog.model(name, engine)
        assert component
        assert model
        need = fitted(component, model)
        assert need
        assert need["memoryMiB"] > 0
        assert need["bytesPerToken"] > 0
    model = catalog.model("ward-notes:1b", "llama-cpp")
    assert model
    assert model.licence.conditions
    assert "Gemma" in model.licence.name


def test_features_come_from_the_files_or_the_site(tmp_path: Path) -> None:
    """Without a chat template it only continues; an encoder embeds; the site may say otherwise."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes("")})
    snapshot(tmp_path / "e", **{"config.json": {**CONFIG, "model_type": "bert"}})
    base = {"name": "base:1b", "from": "./m"}
    embeds = {"name": "embeds:1b", "from": "./e", "engine": "vllm"}
    said = {"name": "said:1b", "from": "./m", "features": ["chat", "embedding"]}
    catalog = catalog_of(ward(tmp_path, base, embeds, said))
    found = {m.name: m.features for _, m in catalog.models}
    assert found["base:1b"] == ("completion",)
    assert found["embeds:1b"] == ("embedding",)
    assert found["said:1b"] == ("chat", "embedding")


def test_what_a_site_said_of_features_is_not_pinned(tmp_path: Path) -> None:
    """Whoever takes it out of site.yaml again has what the files say, also with a lock from before."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    lock = resolve(ward(tmp_path, {"from": "./m", "features": ["embedding"]}))
    model = catalog_of(ward(tmp_path, {"from": "./m"}), lock).model("ward-notes:1b", "llama-cpp")
    assert model
    assert model.features == ("completion", "chat")


def test_an_adapter_is_not_served_by_itself(tmp_path: Path) -> None:
    """A folder with adapter_config.json is an adapter, which other weights are served with."""
    folder = snapshot(tmp_path / "a", **{"adapter_config.json": {"peft_type": "LORA"}})
    (folder / "config.json").unlink()
    model = {"from": "./a", "engine": "vllm"}
    said = [f.problem for f in undeliverable(ward(tmp_path, model))]
    assert said == ["ward-notes:1b is not served by itself: it is an adapter"]
    assert pinned(ward(tmp_path, {**model, "serve": False})).own


def test_a_damaged_header_is_refused_by_name(tmp_path: Path) -> None:
    """What looks like a GGUF and ends early is named before anything is made of it."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes(weights=0)[:100]})
    with pytest.raises(BadInput, match=r"notes\.gguf.*take the file from its source again"):
        resolve(ward(tmp_path, {"from": "./m"}))


def test_words_that_are_not_names_are_refused(tmp_path: Path) -> None:
    """What a file calls its architecture reaches locks, tables and hosts."""
    snapshot(tmp_path / "m", **{"config.json": {**CONFIG, "model_type": "a b; rm -rf /"}})
    with pytest.raises(BadInput, match="family: has not the form that is wanted here; take the files from"):
        resolve(ward(tmp_path, {"from": "./m", "engine": "vllm"}))


def test_an_architecture_that_is_not_known_is_served_without_a_computed_need(tmp_path: Path) -> None:
    """A snapshot whose configuration says no layers is a model all the same."""
    snapshot(tmp_path / "m", **{"config.json": {"model_type": "odd"}})
    catalog = catalog_of(ward(tmp_path, {"from": "./m", "engine": "vllm"}))
    component, model = catalog.component("vllm"), catalog.model("ward-notes:1b", "vllm")
    assert component
    assert model
    assert fitted(component, model) is None


@pytest.mark.parametrize(
    "said",
    [
        {"weights": None},
        {"weights": {"layers": "x"}},
        {"shape": {"layers": 1 << 40}},
        {"shape": {"layers": 3}},
    ],
)
def test_a_lock_of_others_that_makes_no_sense_computes_nothing(tmp_path: Path, said: dict[str, Any]) -> None:
    """What a lock from outside says of shape and weights is believed where it fits together."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    site = ward(tmp_path, {"from": "./m"})
    lock = resolve(site)
    (artifact,) = lock.of("model")
    assert artifact.own
    changed = {
        name: {**(getattr(artifact.own, name) or {}), **value} if value else value
        for name, value in said.items()
    }
    odd = artifact.model_copy(update={"own": artifact.own.model_copy(update=changed)})
    catalog = catalog_of(site, lock.model_copy(update={"artifacts": (odd,)}))
    component, model = catalog.component("llama-cpp"), catalog.model("ward-notes:1b", "llama-cpp")
    assert component
    assert model
    assert fitted(component, model) is None


def test_the_lock_is_enough_where_the_folder_is_not(tmp_path: Path) -> None:
    """With a ready bundle the files are the bundle's: its lock says all that a plan needs."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    site = ward(tmp_path, {"from": "./m"})
    lock, known = resolve(site), catalog_of(site)
    path = lock_path(site)
    write_lock(path, lock)
    assert read_lock(path) == lock
    assert lock_digest(read_lock(path)) == lock_digest(lock)
    (tmp_path / "m" / "notes.gguf").unlink()
    bundle = tmp_path / "bundle"
    laid(bundle, **{"oci-layout": b"{}"})
    away = ward(tmp_path, {"from": "./m"}, supply=f"bundle:{bundle}")
    assert served_models(away, catalog_of(away, lock)) == served_models(site, known)
    assert served_models(away) == served_models(site, known)
    assert served_weights(away, lock, catalog_of(away, lock))[0].slug == "ward-notes-1b"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_fit_counts_it_among_what_a_site_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], elsewhere: bool
) -> None:
    """`aiplat fit --site` computes with what its files say, or the lock where the files are elsewhere."""
    files = laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    hardware = {"cpu": "Ryzen 9 7950X", "memoryGiB": 64, "gpus": ["RTX 4090"]}
    host = {"name": "s1", "address": "10.0.0.11", "role": "server", "hardware": hardware}
    site = ward(tmp_path, {"from": "./m"}, hosts=[host])
    if elsewhere:
        write_lock(lock_path(site), resolve(site))
        shutil.rmtree(files)
        bundle = laid(tmp_path / "bundle", **{"oci-layout": b"{}"})
        ward(tmp_path, {"from": "./m"}, hosts=[host], supply=f"bundle:{bundle}")
    monkeypatch.setattr("sys.argv", ["aiplat", "fit", "--site", str(tmp_path / "site.yaml"), "--json"])
    with pytest.raises(SystemExit):
        main()
    layout = json.loads(capsys.readouterr().out)["layouts"][0]
    (answer,) = next(one["on"] for one in layout["models"] if one["model"] == "ward-notes:1b")
    assert (answer["on"], answer["verdict"], answer["tok_s"] is not None) == ("GPU", "fits", True)
