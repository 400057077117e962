"""Each way a request can fail has its sentence; what may pass is asked again, what broke off continues."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiplat.content import sha256_bytes, sha256_file
from aiplat.errors import AiplatError, BadInput
from aiplat.site.models import Upstream
from aiplat.supply.upstream import partial
from aiplat.supply.upstream.http import HttpClient, retry_after
from aiplat.supply.upstream.partial import Partial, WantedFile
from aiplat.supply.upstream.sentences import HttpFailed
from tests.supply.upstream.conftest import SHORT
from tests.upstreams import faults
from tests.upstreams.exchange import Reply
from tests.upstreams.server import Upstreams

HOST = "files.example"
URL = f"https://{HOST}/big"
CONTENT = bytes(range(256)) * 2000
DIGEST = sha256_bytes(CONTENT)


@pytest.fixture(autouse=True)
def published(net: Upstreams) -> None:
    """Let a host serve one file, with a strong tag."""
    net.add(HOST, lambda _: Reply(200, {"ETag": '"one"'}, CONTENT))


def failing(http: HttpClient, url: str = URL) -> HttpFailed:
    """Return how asking for `url` fails."""
    with pytest.raises(HttpFailed) as caught:
        http.get(url)
    return caught.value


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            401,
            "wants to know who asks (401); name them under upstream.credentials.files.example in site.yaml",
        ),
        (403, "refuses this (403); if it needs an account, name them under"),
        (404, "is not there (404); see whether the version exists"),
        (410, "was taken away (410)"),
        (451, "is withheld for legal reasons (451)"),
        (500, "has a fault of its own (500); run the same command again later"),
        (502, "has a fault of its own (502)"),
        (418, "gave an answer that nothing can be done with (418)"),
    ],
)
def test_a_status_has_its_sentence(net: Upstreams, http: HttpClient, status: int, said: str) -> None:
    """Where, what, what to do; the status is there for whoever handles it."""
    net.fault(HOST, "big", faults.status(status))
    failed = failing(http)
    assert f"{URL}: {said}" in str(failed)
    assert failed.status == status


def test_what_may_pass_is_asked_for_again(net: Upstreams, http: HttpClient) -> None:
    """A fault that goes away after two tries is none."""
    net.fault(HOST, "big", faults.status(503), times=2)
    assert http.get(URL).body == CONTENT
    assert len(net.asked(HOST)) == 3


def test_what_will_not_pass_is_asked_for_once(net: Upstreams, http: HttpClient) -> None:
    """Nobody waits for a 404 to become something else."""
    net.fault(HOST, "big", faults.status(404))
    failing(http)
    assert len(net.asked(HOST)) == 1


def test_asked_too_often_waits_as_long_as_it_is_told(net: Upstreams, http: HttpClient) -> None:
    """Retry-After in seconds is obeyed."""
    net.fault(HOST, "big", faults.rate_limited(seconds=0), times=1)
    assert http.get(URL).status == 200


def test_a_wait_beyond_patience_is_said_at_once(net: Upstreams, http: HttpClient) -> None:
    """Whoever must wait an hour is told so, after one request."""
    net.fault(HOST, "big", faults.rate_limited(seconds=3600))
    assert "was asked too often (429) and asks to wait 3600 s; wait, or name them" in str(failing(http))
    assert len(net.asked(HOST)) == 1


def test_a_wait_may_be_a_date() -> None:
    """Retry-After is seconds or a date; anything else says nothing."""
    soon = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert 60 < (retry_after(soon) or 0) <= 90
    assert retry_after("Fri, 01 Jan 2021 00:00:00 GMT") == 0
    assert (retry_after("5"), retry_after("soon"), retry_after(None)) == (5, None, None)


def test_a_body_that_breaks_off_goes_on_where_it_was(
    net: Upstreams, http: HttpClient, tmp_path: Path
) -> None:
    """Only what is missing is asked for, under the condition that it is still the same content."""
    net.fault(HOST, "big", faults.cut(200_000), times=2)
    done = http.download(URL, tmp_path / "f", digest=DIGEST)
    assert (done.size, (tmp_path / "f").read_bytes() == CONTENT) == (len(CONTENT), True)
    ranges = [request.headers.get("range") for request in net.seen]
    assert ranges == [None, "bytes=200000-", "bytes=400000-"]
    assert net.seen[1].headers["if-range"] == '"one"'
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("f")] == ["f"]


def test_a_download_is_resumed_by_another_process(net: Upstreams, http: HttpClient, tmp_path: Path) -> None:
    """What came is kept beside the target when all tries fail, and is not asked for again."""
    net.fault(HOST, "big", faults.cut(100_000), times=1)
    net.fault(HOST, "big", faults.status(500), times=3)
    with pytest.raises(HttpFailed, match="fault of its own"):
        http.download(URL, tmp_path / "f", digest=DIGEST)
    assert not (tmp_path / "f").exists()
    http.download(URL, tmp_path / "f", digest=DIGEST)
    assert net.seen[-1].headers["range"] == "bytes=100000-"


def test_without_a_tag_and_a_digest_nothing_is_resumed(
    net: Upstreams, http: HttpClient, tmp_path: Path
) -> None:
    """Nothing could tell that the rest belongs to the same content."""
    net.fault(HOST, "big", lambda _, reply: reply.but(headers={}, cut_after=1000), times=1)
    http.download(URL, tmp_path / "f")
    assert [request.headers.get("range") for request in net.seen] == [None, None]


def test_content_exchanged_in_the_middle_is_fetched_anew(
    net: Upstreams, http: HttpClient, tmp_path: Path
) -> None:
    """Pieces of two contents make neither; the whole is asked for once more."""
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    assert http.download(URL, tmp_path / "f", digest=DIGEST).digest == DIGEST
    assert [request.headers.get("range") for request in net.seen] == ["bytes=1000-", None]


def test_wrong_content_names_both_digests(net: Upstreams, http: HttpClient, tmp_path: Path) -> None:
    """It is not kept, and nothing has the target's name."""
    net.fault(HOST, "big", faults.tampered)
    with pytest.raises(
        HttpFailed, match=rf"its content is sha256:[0-9a-f]{{64}}, not {DIGEST}; it is damaged"
    ):
        http.download(URL, tmp_path / "f", digest=DIGEST)
    assert not list(tmp_path.glob("f*"))


def test_a_wrong_size_is_seen_before_it_is_fetched(net: Upstreams, http: HttpClient, tmp_path: Path) -> None:
    """The announced size counts."""
    with pytest.raises(HttpFailed, match=f"has {len(CONTENT)} bytes instead of 5; it is damaged"):
        http.download(URL, tmp_path / "f", size=5)


def test_a_kept_whole_is_not_asked_for(net: Upstreams, http: HttpClient, tmp_path: Path) -> None:
    """What is there and right is enough; what is there and wrong is replaced."""
    (tmp_path / "f").write_bytes(CONTENT)
    http.download(URL, tmp_path / "f", digest=DIGEST)
    assert net.seen == []
    (tmp_path / "f").write_bytes(b"other")
    assert http.download(URL, tmp_path / "f", digest=DIGEST).size == len(CONTENT)


def test_killed_between_the_last_byte_and_its_name(net: Upstreams, http: HttpClient, tmp_path: Path) -> None:
    """All bytes are there: only the name is missing."""
    (tmp_path / "f.part").write_bytes(CONTENT)
    http.download(URL, tmp_path / "f", digest=DIGEST, size=len(CONTENT))
    assert net.seen == []
    (tmp_path / "f").rename(tmp_path / "f.part")
    http.download(URL, tmp_path / "f", digest=DIGEST)
    assert len(net.seen) == 1


def test_silence_in_the_middle_ends(net: Upstreams, http: HttpClient, tmp_path: Path) -> None:
    """A host that stops sending is asked again, and named in the end."""
    net.fault(HOST, "big", faults.held(1000))
    with pytest.raises(HttpFailed, match="went silent in the middle; run the same command again"):
        http.download(URL, tmp_path / "f", digest=DIGEST)


def test_redirects_in_a_circle_are_named(net: Upstreams, http: HttpClient) -> None:
    """With the circle."""
    net.fault(HOST, "big", faults.looping)
    assert f"{URL}: redirects in a circle: {URL} → {URL}; see the address" in str(failing(http))


def test_redirects_have_an_end(net: Upstreams, http: HttpClient) -> None:
    """Each leading further is not a circle, but too far."""
    net.add(HOST, lambda request: Reply.redirect(f"https://{HOST}{request.path}x"))
    assert "redirects more than 8 times" in str(failing(http))


def test_a_redirect_does_not_leave_tls(net: Upstreams, http: HttpClient) -> None:
    """Nobody makes us fetch in the clear."""
    net.fault(HOST, "big", faults.redirected("http://files.example/big?secret=1"))
    assert "redirects from https to http://files.example/big; give an address" in str(failing(http))


def test_credentials_stay_with_their_host(
    net: Upstreams, asking: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go to the host they are for, and not to where it sends us."""
    monkeypatch.setenv("FILES_TOKEN", "s3cret")
    net.add("other.example", lambda _: Reply(200, {}, b"there"))
    net.fault(HOST, "big", faults.redirected("https://other.example/x"))
    http = asking(credentials={HOST: {"user": "me", "env": "FILES_TOKEN"}})
    assert http.get(URL).body == b"there"
    assert net.seen[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in net.seen[1].headers
    assert "s3cret" not in repr(http.credential(HOST))


def test_a_header_of_the_askers_own_stays_with_its_host_too(net: Upstreams, http: HttpClient) -> None:
    """A token that a fetcher got for one host is not passed on."""
    net.add("other.example", lambda _: Reply(200, {}, b"there"))
    net.fault(HOST, "big", faults.redirected("https://other.example/x"))
    http.get(URL, headers={"Authorization": "Bearer t"})
    assert "authorization" not in net.seen[1].headers


def test_refused_credentials_are_told_from_missing_ones(
    net: Upstreams, asking: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 with credentials means that they are wrong."""
    monkeypatch.setenv("FILES_TOKEN", "s3cret")
    net.fault(HOST, "big", faults.status(401))
    failed = failing(asking(credentials={HOST: {"env": "FILES_TOKEN"}}))
    assert "does not accept the credentials (401)" in str(failed)
    assert "s3cret" not in str(failed)


def test_a_secret_that_is_not_there_is_named(net: Upstreams, asking: Callable[..., HttpClient]) -> None:
    """By the variable, before anything is asked."""
    http = asking(credentials={HOST: {"env": "NO_SUCH_TOKEN"}})
    with pytest.raises(BadInput, match=r"upstream.credentials.files.example: the environment has no NO_SUCH"):
        http.get(URL)
    assert net.seen == []


def test_a_mirror_is_asked_instead(net: Upstreams, reached: Upstream) -> None:
    """For every request to that host; what a mirror lacks is said of the mirror."""
    mirror = net.mirror(HOST)
    settings = {"ca": net.ca, "mirrors": {HOST: mirror}, "proxy": net.proxy, "noProxy": ["127.0.0.1"]}
    http = HttpClient(Upstream.model_validate(settings), SHORT)
    assert http.get(URL).body == CONTENT
    assert net.asked(HOST) == []
    net.fault(f"mirror/{HOST}", "big", faults.status(404))
    assert "the mirror does not have it (404); fill the mirror" in str(failing(http))


def test_an_unknown_ca_is_said(net: Upstreams) -> None:
    """With where to give it."""
    http = HttpClient(Upstream.model_validate({"proxy": net.proxy}), SHORT)
    assert "signed by a CA that this machine does not know; give the CA: upstream.ca" in str(failing(http))


def test_a_certificate_of_tomorrow_means_the_clock(net: Upstreams, http: HttpClient) -> None:
    """Not valid yet, with what this machine's clock says."""
    net.certify(HOST, timedelta(days=1), timedelta(days=2))
    said = str(failing(http))
    assert "is not valid yet; this machine's clock says" in said
    assert said.endswith("set the clock")


def test_an_expired_certificate_is_said(net: Upstreams, http: HttpClient) -> None:
    """It may be the clock, too."""
    net.certify(HOST, timedelta(days=-3), timedelta(days=-2))
    assert "has expired; this machine's clock says" in str(failing(http))


def test_a_proxy_that_wants_a_login_is_said(net: Upstreams, http: HttpClient) -> None:
    """407 is the proxy's, whatever host was asked for."""
    net.require_proxy_login("me", "pass")
    failed = failing(http)
    assert "the proxy wants to know who asks (407); put user and password into HTTPS_PROXY" in str(failed)
    assert failed.status == 407


def test_a_proxy_gets_its_login(
    net: Upstreams, asking: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by the proxy's host, from the environment."""
    net.require_proxy_login("me", "pass")
    monkeypatch.setenv("PROXY_PASSWORD", "pass")
    http = asking(credentials={net.proxy.removeprefix("http://"): {"user": "me", "env": "PROXY_PASSWORD"}})
    assert http.get(URL).status == 200


def test_the_environments_proxy_is_used(net: Upstreams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one in site.yaml."""
    for name, value in net.environment.items():
        monkeypatch.setenv(name, value)
    assert HttpClient(Upstream(), SHORT).get(URL).status == 200


def test_a_refused_connection_is_said() -> None:
    """On a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = str(failing(HttpClient(Upstream(), SHORT), f"http://127.0.0.1:{port}/x"))
    assert f"127.0.0.1:{port} refuses connections; see whether the address is right" in said


def test_a_name_without_an_address_is_said() -> None:
    """Names below .invalid never have one."""
    said = str(failing(HttpClient(Upstream(), SHORT), "https://nowhere.invalid/x"))
    assert "https://nowhere.invalid/x: there is no address for nowhere.invalid" in said


def test_a_full_disk_is_seen_before(
    net: Upstreams, http: HttpClient, tmp_path: Path, monkeypatch: object
) -> None:
    """The announced size is compared with the room there is."""
    assert isinstance(monkeypatch, pytest.MonkeyPatch)
    monkeypatch.setattr(partial, "_SPARE", 1 << 60)
    with pytest.raises(AiplatError, match=r"MB are free, but 1 MB are to come; make room") as caught:
        http.download(URL, tmp_path / "f", digest=DIGEST)
    assert not isinstance(caught.value, HttpFailed)


def test_a_disk_that_fills_up_is_said(net: Upstreams, http: HttpClient) -> None:
    """/dev/full is a file on a full disk; what came before stays."""
    with pytest.raises(AiplatError, match="the disk is full; make room"):
        partial.Partial(Path("/dev/full"), partial.WantedFile(URL, None, None), None)._append(
            b"x", Path("/dev/full")
        )


def test_an_answer_has_a_limit(net: Upstreams, http: HttpClient) -> None:
    """What is kept in memory cannot grow without bound."""
    with pytest.raises(HttpFailed, match="answers with more than 1000 bytes"):
        http.get(URL, limit=1000)


def test_what_is_shown_has_no_signature(net: Upstreams, http: HttpClient) -> None:
    """Signed addresses carry secrets in their query."""
    net.fault(HOST, "big", faults.status(403))
    assert "sig" not in str(failing(http, f"{URL}?sig=abc"))


def test_an_interrupted_download_ends_soon_and_is_kept(
    net: Upstreams, http: HttpClient, tmp_path: Path
) -> None:
    """Who interrupts does not wait for the rest."""

    def stop(done: int, total: int) -> None:
        http.stop()

    with pytest.raises(AiplatError, match="was interrupted; run the same command to resume"):
        http.download(URL, tmp_path / "f", digest=DIGEST, on_bytes=stop)
    assert (tmp_path / "f.part").stat().st_size > 0


def test_a_file_that_another_artifact_just_removed_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two artifacts share a blob; the one finished first removes what was kept while the other looks."""
    target = tmp_path / "blob"
    target.write_bytes(b"content")

    def gone(path: Path) -> str:
        found = sha256_file(path)
        path.unlink()
        return found

    monkeypatch.setattr(partial, "sha256_file", gone)
    wanted = WantedFile("https://example.org/blob", sha256_file(target), 7)
    assert Partial(target, wanted, lambda *_: None).finished() is None
