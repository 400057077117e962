"""Whom Alertmanager tells: receivers of the site, secrets as files beside the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.charts.conftest import Document, Helm, documents

IMAGE = "x@sha256:" + "0" * 64
MAIL = {"to": ["a@b.example", "c@d.example"], "from": "x@y.example", "host": "smtp.b.example"}


def rendered(helm: Helm, charts: dict[str, Path], folder: Path, **values: Any) -> tuple[str, list[Document]]:
    """Return what helm says, and the manifests that it makes with these values."""
    path = folder / "values.json"
    path.write_text(json.dumps({"image": IMAGE, "site": "ward-3", **values}))
    done = helm("template", "alertmanager", charts["alertmanager"], "-n", "aiplat-platform", "-f", path)
    return done.stderr, documents(done.stdout)


def secret(manifests: list[Document]) -> dict[str, str]:
    """Return the files that Alertmanager sees."""
    return next(dict(d["stringData"]) for d in manifests if d["kind"] == "Secret")


def test_passwords_tokens_and_addresses_of_hooks_are_files(
    helm: Helm, charts: dict[str, Path], tmp_path: Path
) -> None:
    """The configuration names them; whoever reads it in Alertmanager's pages sees none."""
    _, manifests = rendered(
        helm,
        charts,
        tmp_path,
        mail=MAIL | {"user": "u", "password": 'p"w:d', "ca": "-----BEGIN CERTIFICATE-----\n"},
        webhooks=[{"url": "https://h.example/secret-1", "token": "secret-2"}],
        chats=[{"url": "https://h.example/secret-3", "channel": "#ops"}],
    )
    files = secret(manifests)
    config = files.pop("alertmanager.yml")
    assert files == {
        "mail-password": 'p"w:d',
        "mail-ca.crt": "-----BEGIN CERTIFICATE-----\n",
        "webhook-0-url": "https://h.example/secret-1",
        "webhook-0-token": "secret-2",
        "chat-0-url": "https://h.example/secret-3",
    }
    assert "secret-" not in config
    assert 'p"w' not in config
    site = YAML(typ="safe", pure=True).load(config)["receivers"][1]
    named = {site["email_configs"][0]["auth_password_file"], site["slack_configs"][0]["api_url_file"]}
    named |= {site["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"]}
    assert {Path(name).name for name in named} <= set(files)
    assert site["email_configs"][0]["require_tls"] is True
    assert site["email_configs"][0]["smarthost"] == "smtp.b.example:587"


def test_only_named_addresses_are_reached(helm: Helm, charts: dict[str, Path], tmp_path: Path) -> None:
    """Nothing else than the cluster's names, which a label asks for."""
    _, manifests = rendered(helm, charts, tmp_path, egressTo=[{"cidr": "203.0.113.7/32", "port": 587}])
    policy = next(d["spec"] for d in manifests if d["kind"] == "NetworkPolicy")
    ports = [{"protocol": "TCP", "port": 587}]
    assert policy["egress"] == [{"to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}], "ports": ports}]
    assert policy["ingress"] == []


@pytest.mark.parametrize(
    "mail", [{"to": ["a@b.example"]}, MAIL | {"user": "u"}, MAIL | {"to": ["nobody"]}, {"host": "smtp"}]
)
def test_half_a_receiver_is_refused(
    helm: Helm, charts: dict[str, Path], tmp_path: Path, mail: dict[str, Any]
) -> None:
    """Before anything is installed: mail that nobody gets is worse than none."""
    said, manifests = rendered(helm, charts, tmp_path, mail=mail)
    assert "mail" in said
    assert manifests == []
