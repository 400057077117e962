"""`aiplat login`: a browser comes back to loopback from a real issuer, and the session is kept."""

from __future__ import annotations

import json
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiplat.actions.login import Login, LoginProvider, log_in, log_out, logged_in, provider_of_site
from aiplat.actions.login_listener import PORTS, Listener
from aiplat.catalog.resolve import components_on
from aiplat.errors import AiplatError, BadInput
from tests.patience import PATIENCE
from tests.plan.test_golden import SITE
from tests.services.oidc.issuer import TestIssuer

CLIENT = "portal-cli"


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestIssuer]:
    """An issuer that knows the ports of a command line; state is the test's own."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    issuer = TestIssuer(redirects={CLIENT: tuple(f"http://127.0.0.1:{port}/" for port in PORTS)})
    issuer.who = {"sub": "u-1", "preferred_username": "ann", "groups": ["member"]}
    yield issuer
    issuer.close()


def signed_in(
    provider: LoginProvider, ask: Callable[[str], httpx.Response] = httpx.get, **wrong: str
) -> Login:
    """Sign in with a browser that follows where it is led, after it brought something wrong."""

    def browse(address: str) -> None:
        back = ask(address)
        if wrong:
            assert httpx.get(httpx.URL(back.headers["location"]).copy_merge_params(wrong)).status_code == 400
        assert httpx.get(back.headers["location"]).status_code == 200

    browsers: list[threading.Thread] = []

    def tell(address: str) -> None:
        browsers.append(threading.Thread(target=browse, args=(address,)))
        browsers[0].start()

    login = log_in(provider, tell, PATIENCE)
    browsers[0].join()
    return login


def test_a_session_is_kept_for_its_owner_alone_and_forgotten(issuer: TestIssuer) -> None:
    """The next command has it without a browser; the file is readable by nobody else."""
    provider = LoginProvider(issuer.url, CLIENT)
    assert logged_in(provider) is None
    login = signed_in(provider)
    assert (login.name, logged_in(provider)) == ("ann", login)
    assert stat.S_IMODE(provider.file.stat().st_mode) == 0o600
    credential = login.exec_credential()
    assert credential["apiVersion"] == "client.authentication.k8s.io/v1"
    assert credential["status"]["token"] == login.id_token
    assert credential["status"]["expirationTimestamp"].endswith("Z")
    assert (log_out(provider), log_out(provider), logged_in(provider)) == (True, False, None)


def test_an_answer_with_another_state_is_not_taken_and_the_right_one_still_is(issuer: TestIssuer) -> None:
    """Whatever page of whoever leads a browser there."""
    assert signed_in(LoginProvider(issuer.url, CLIENT), state="guessed").name == "ann"


def test_a_token_that_is_over_is_replaced_by_the_refresh_token_once(issuer: TestIssuer) -> None:
    """Without a browser; where the issuer refuses, one signs in again."""
    provider = LoginProvider(issuer.url, CLIENT)
    login = signed_in(provider)

    def let_end() -> None:
        kept: dict[str, Any] = json.loads(provider.file.read_text())
        provider.file.write_text(json.dumps({**kept, "expires": 0}))

    let_end()
    again = logged_in(provider)
    assert again
    assert (again.name, again.expires > 0, again.refresh_token != login.refresh_token) == ("ann", True, True)
    issuer.refresh.clear()
    let_end()
    assert logged_in(provider) is None


@pytest.mark.parametrize("bent", [{"nonce": "another"}, {"aud": "portal"}, {"iss": "http://127.0.0.1:1"}])
def test_a_token_for_something_else_is_not_kept(issuer: TestIssuer, bent: dict[str, str]) -> None:
    """Of another login, client or issuer."""
    provider, token = LoginProvider(issuer.url, CLIENT), TestIssuer.token
    issuer.token = lambda client, **told: token(issuer, client, **{**told, **bent})  # type: ignore[method-assign]
    with pytest.raises(AiplatError, match="not for this login"):
        signed_in(provider)
    assert logged_in(provider) is None


def test_who_vouches_for_the_issuer_comes_as_a_file_or_in_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kubeconfig for any machine has it; whom the machine trusts is not enough."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    redirects = {CLIENT: tuple(f"http://127.0.0.1:{port}/" for port in PORTS)}
    issuer = TestIssuer(redirects=redirects, folder=tmp_path)
    trusted = ssl.create_default_context(cadata=issuer.authority)
    browse = partial(httpx.get, verify=trusted)
    file = tmp_path / "ca.crt"
    file.write_text(issuer.authority)
    for provider in (
        LoginProvider(issuer.url, CLIENT, file),
        LoginProvider(issuer.url, CLIENT, authorities=issuer.authority),
    ):
        assert signed_in(provider, browse).name == "u-1"
        assert log_out(provider)
    with pytest.raises(AiplatError, match="certificate verify failed"):
        log_in(LoginProvider(issuer.url, CLIENT), lambda _: None)
    issuer.close()


def test_what_does_not_work_is_a_sentence(issuer: TestIssuer) -> None:
    """Nobody comes, every port is taken, an issuer that is none, another's name, a file that is broken."""
    provider = LoginProvider(issuer.url, CLIENT)
    with pytest.raises(AiplatError, match="nobody signed in"):
        log_in(provider, lambda _: None, 0)
    with ExitStack() as stack, pytest.raises(AiplatError, match="are taken"):  # noqa: PT012 - it is the last
        for _ in range(len(PORTS) + 1):
            stack.enter_context(Listener("x"))
    with pytest.raises(AiplatError, match="does not answer as an issuer"):
        log_in(LoginProvider(f"{issuer.url}/", CLIENT), lambda _: None)
    provider.file.write_text("{")
    assert logged_in(provider) is None


def test_the_provider_of_a_site_is_its_own_with_the_client_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site without one says what to turn on."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    assert "canaille" in {c.name for c in components_on(SITE)}
    provider = provider_of_site(SITE)
    assert (provider.issuer, provider.client) == (f"https://login.{SITE.domain}", CLIENT)
    assert provider.ca
    assert provider.ca.name == "ca.crt"
    without = SITE.model_copy(update={"planes": {}})
    with pytest.raises(BadInput, match="has no sign-in for the command line"):
        provider_of_site(without)
