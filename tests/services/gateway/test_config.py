"""The file of a gateway that runs alone: what it may say, and what is said about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiplat.errors import BadInput
from aiplat.services.bounds import CONFIG_BYTES
from aiplat.services.gateway.config.files import AccountsConfig, AloneConfig, read_config
from tests.patience import PATIENCE, eventually
from tests.services.gateway.alone import BODY, alone, key, total
from tests.services.gateway.engine import Engine

HASH = "sha256:" + "0" * 64
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join(['*' + b] * 9)}]\n" for b, n in zip("abcdefg", "bcdefgh", strict=True)
)


def test_paths_are_below_the_files_folder_and_the_database_beside_it(tmp_path: Path) -> None:
    """Wherever the command is started."""
    path = tmp_path / "g.yaml"
    path.write_text("keys: [{id: me, secret_file: me.key}]\ntls: {cert: a.crt, key: a.key}\n")
    config = read_config(path, AloneConfig)
    assert config.database.url == f"sqlite:///{tmp_path}/gateway.db"
    assert config.keys[0].secret_file == tmp_path / "me.key"
    assert config.spool.folder == tmp_path / "spool"
    assert config.tls is not None
    assert config.tls.cert == tmp_path / "a.crt"
    path.write_text("database: {url: 'sqlite:///x/y.db', password_file: pw}")
    assert read_config(path, AccountsConfig).database.url == f"sqlite:///{tmp_path}/x/y.db"


@pytest.mark.parametrize("name", ["g.yaml", "g.json"])
@pytest.mark.parametrize(
    "text", [BOMB, "[" * 100_000, "{}" + " " * CONFIG_BYTES, "a: &a [*a]", "\ufeff\x00", "{"]
)
def test_a_file_of_settings_has_the_limits_of_a_site_file(tmp_path: Path, name: str, text: str) -> None:
    """Of size, of depth and of what its aliases come to; it says so and does not fail otherwise."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput, match=name):
        read_config(path, AloneConfig)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"modles": []}, 'modles: is not a key that means anything here; did you mean "models"?'),
        (
            {"keys": [{"id": "a", "hash": HASH, "modles": []}]},
            "keys[0].modles: is not a key that means anything",
        ),
        ({"keys": [{"id": "a"}]}, "keys[0]: give either `hash` or `secret_file`"),
        ({"keys": [{"hash": HASH}]}, "keys[0].id: is missing; add it"),
        ({"keys": [{"id": "a", "hash": HASH, "team": "x"}]}, "key a: no team is called 'x'"),
        ({"keys": [{"id": "a", "hash": HASH}] * 2}, "the key 'a' is there twice"),
        (
            {"keys": [{"id": "a", "hash": HASH, "expires_at": "2030-01-01T00:00:00"}]},
            "expires_at: has no zone",
        ),
        (
            {"teams": [{"name": "x", "budgets": [{"unit": "words"}]}]},
            "teams[0].budgets[0].unit: input should be",
        ),
        ({"models": [{"name": "m", "url": "ftp://x"}]}, "models[0].url: has not the form"),
        ({"listen": {"port": 70000}}, "listen.port: input should be less than or equal to 65535"),
        ({"egress": "forbidden", "models": [{"name": "m", "url": "https://example.com"}]}, "model m:"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, document: dict[str, Any], said: str) -> None:
    """One sentence, beginning with the file and the path in it."""
    path = tmp_path / "g.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInput) as refused:
        read_config(path, AloneConfig)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("content", ["a: [", "\x00", ""])
def test_a_file_that_is_no_document_is_refused(tmp_path: Path, content: str) -> None:
    """Without a traceback."""
    path = tmp_path / "g.yaml"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"g\.yaml"):
        read_config(path, AloneConfig)


def test_the_command_says_everything_at_once_and_leaves_with_2(tmp_path: Path) -> None:
    """`aiplat serve gateway --config FILE`, as people run it."""
    path = tmp_path / "g.yaml"
    path.write_text("listen: {port: -1}\nkeys: [{id: a}]\n")
    command = [str(Path(sys.executable).with_name("aiplat")), "serve", "gateway", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["keys[0]", "listen.port"]


def test_the_file_is_the_truth_about_its_keys(engine: Engine, tmp_path: Path, database_url: str) -> None:
    """A key that is no longer there is refused after the next start, and known again when it is back."""
    both = [key("me"), key("you", requests_per_minute=100)]
    for keys, status in ((both, 200), (both[:1], 401), (both, 200)):
        with (
            alone(tmp_path / "g", engine, database_url, keys=keys) as gateway,
            gateway.client("you") as client,
        ):
            assert client.post("/v1/completions", json=BODY).status_code == status
    assert total(database_url, key="you").requests == 2


def test_models_of_the_file_are_read_again(engine: Engine, tmp_path: Path) -> None:
    """A broken file, or a pipe in its place, changes nothing; a good one does, without a restart."""
    with alone(tmp_path / "g", engine, f"sqlite:///{tmp_path}/a.db") as gateway, gateway.client() as client:
        path = gateway.folder / "gateway.json"
        good = json.loads(path.read_text())
        path.write_text('{"models": [')
        assert eventually(lambda: "old content stays" in gateway.log())
        assert len(client.get("/v1/models").json()["data"]) == 4
        path.unlink()
        os.mkfifo(path)
        assert eventually(lambda: "is not a file" in gateway.log())
        assert len(client.get("/v1/models").json()["data"]) == 4
        path.unlink()
        path.write_text(json.dumps({**good, "models": good["models"][:1]}))
        assert eventually(lambda: len(client.get("/v1/models").json()["data"]) == 1)
