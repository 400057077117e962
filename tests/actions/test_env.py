"""What clients are told: URL, key, and whom to trust."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from aiplat.actions.access import access_to
from aiplat.actions.env import environment
from aiplat.errors import BadInput
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import SiteSecrets, ensure_secrets

SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "t-env",
        "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
    }
)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> SiteSecrets:
    """A site that was bootstrapped, in a shell that trusts whatever the system trusts."""
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return ensure_secrets(SITE, lab=True)


def test_every_client_finds_what_it_reads(secrets: SiteSecrets) -> None:
    """OpenAI's wants /v1 in its URL, Ollama's does not."""
    folder = site_dir("t-env")
    assert environment(SITE) == {
        "OPENAI_BASE_URL": "https://10.0.0.11/v1",
        "OPENAI_API_KEY": secrets.api_key,
        "OLLAMA_HOST": "https://10.0.0.11",
        "OLLAMA_API_KEY": secrets.api_key,
        "SSL_CERT_FILE": str(folder / "ca-bundle.crt"),
        "KUBECONFIG": str(folder / "kubeconfig"),
    }


def test_an_ipv6_endpoint_is_in_brackets(secrets: SiteSecrets) -> None:
    """As URLs want it."""
    cluster = SITE.cluster.model_copy(update={"endpoint": "fd00::1"})
    assert access_to(SITE.model_copy(update={"cluster": cluster})).url == "https://[fd00::1]"


def test_the_sites_authority_comes_to_those_that_are_trusted(secrets: SiteSecrets, tmp_path: Path) -> None:
    """One file with both; what cannot be parsed would make the whole file useless."""
    file = access_to(SITE).authorities
    context = ssl.create_default_context(cafile=str(file))
    names = [str(authority["subject"]) for authority in context.get_ca_certs()]
    assert any("aiplat site CA t-env" in name for name in names)
    assert len(names) > 1


def test_what_the_shell_was_told_to_trust_stays_trusted(
    secrets: SiteSecrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's own bundle is the base, and the variables that would win over ours follow."""
    company = tmp_path / "company.pem"
    company.write_text("# company\n")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(company))
    told = environment(SITE)
    assert told["CURL_CA_BUNDLE"] == told["SSL_CERT_FILE"]
    assert "REQUESTS_CA_BUNDLE" not in told
    assert Path(told["SSL_CERT_FILE"]).read_text().startswith("# company\n-----BEGIN")


def test_taking_the_variables_twice_changes_nothing(
    secrets: SiteSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that already has ours does not nest them."""
    first = Path(environment(SITE)["SSL_CERT_FILE"])
    before = first.read_text()
    monkeypatch.setenv("SSL_CERT_FILE", str(first))
    assert Path(environment(SITE)["SSL_CERT_FILE"]).read_text() == before


def test_the_key_is_not_shown_by_accident(secrets: SiteSecrets) -> None:
    """`repr` is what ends up in tracebacks."""
    assert secrets.api_key not in repr(access_to(SITE))


def test_a_site_that_was_never_bootstrapped_has_no_key() -> None:
    """The sentence says what to run."""
    with pytest.raises(
        BadInput, match="t-other: has no key that is known on this machine; run `aiplat bootstrap`"
    ):
        environment(SITE.model_copy(update={"name": "t-other"}))
