"""What each way a request can fail is called and what to do about it; asking again is http's."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from aiplat.errors import AiplatError, Finding

# OpenSSL's numbers for why a certificate does not count.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = 9, 10, 62
_UNKNOWN_CA = (18, 19, 20, 21)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class HttpFailed(AiplatError):
    """A request that got no usable answer.

    `status` is the answer's, None where none came; `again` says that the same request may succeed later,
    `after` how many seconds the other side wants to wait until then.
    """

    def __init__(
        self, finding: Finding, *, status: int | None = None, again: bool = False, after: float | None = None
    ) -> None:
        super().__init__(finding)
        self.status = status
        self.again = again
        self.after = after


def plain(url: str) -> str:
    """Return a URL as it may be shown: without user, password, query (it may be signed) and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def host_of(url: str) -> str:
    """Return a URL's host, with the port where it is written."""
    return urlsplit(url).netloc.rpartition("@")[2]


def of_status(url: str, status: int, *, known: bool, mirror: bool, after: float | None) -> HttpFailed:
    """Return what an answer that is not a success means.

    `known` says that credentials were sent, `mirror` that a mirror answered.
    """
    problem, fix = _said(host_of(url), status, known=known, mirror=mirror)
    if status == 429 and after:
        problem += f" and asks to wait {after:.0f} s"
    return HttpFailed(Finding(plain(url), problem, fix), status=status, again=status in _PASSING, after=after)


def _said(host: str, status: int, *, known: bool, mirror: bool) -> tuple[str, str]:
    give = f"name them under upstream.credentials.{host} in site.yaml"
    said = {
        401: (
            (
                "does not accept the credentials (401)",
                "see whether the token is still valid, and for this host",
            )
            if known
            else ("wants to know who asks (401)", give)
        ),
        403: (
            "refuses this (403)",
            "see whether the account may read it, its terms were accepted, and no filter stands in between"
            if known
            else f"if it needs an account, {give}",
        ),
        404: (
            ("the mirror does not have it (404)", "fill the mirror, or take it out of upstream.mirrors")
            if mirror
            else ("is not there (404)", "see whether the version exists: versions.yaml")
        ),
        407: (
            "the proxy wants to know who asks (407)",
            "put user and password into HTTPS_PROXY, or name them under upstream.credentials",
        ),
        410: ("was taken away (410)", "use another version"),
        429: ("was asked too often (429)", f"wait, or {give}: accounts may ask more often"),
        451: ("is withheld for legal reasons (451)", "use another source"),
    }
    if status in said:
        return said[status]
    if status >= 500:
        return f"has a fault of its own ({status})", "run the same command again later; it resumes from here"
    return f"gave an answer that nothing can be done with ({status})", "see whether the address is right"


def of_fault(url: str, error: Exception, proxy: str = "") -> HttpFailed:
    """Return what a request that got no answer at all means; `proxy` is the host of one in between."""
    where = plain(url)
    for cause in _causes(error):
        if proxy and isinstance(cause, socket.gaierror | ConnectionRefusedError):
            how = "refuses connections" if isinstance(cause, ConnectionRefusedError) else "has no address"
            problem = f"cannot be asked: the proxy {proxy} {how}"
            fix = "see upstream.proxy in site.yaml, or HTTPS_PROXY"
            return HttpFailed(Finding(where, problem, fix), again=True)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return HttpFailed(Finding(where, *_of_certificate(cause)))
        if isinstance(cause, ssl.SSLError):
            return HttpFailed(
                Finding(
                    where,
                    f"does not speak TLS as it should: {cause.reason or cause}",
                    "see whether the address and port are right",
                )
            )
        if isinstance(cause, socket.gaierror):
            passing = cause.errno == socket.EAI_AGAIN
            fix = "see the spelling and this machine's DNS; behind a proxy, set HTTPS_PROXY"
            return HttpFailed(
                Finding(where, f"there is no address for {urlsplit(url).hostname}", fix), again=passing
            )
        if isinstance(cause, ConnectionRefusedError):
            problem = f"{host_of(url)} refuses connections"
            return HttpFailed(
                Finding(where, problem, "see whether the address is right and no firewall stands between"),
                again=True,
            )
    return _of_transport(where, host_of(url), error)


def _of_certificate(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    code = error.verify_code
    if code == _NOT_YET_VALID:
        return f"its certificate is not valid yet; this machine's clock says {now}", "set the clock"
    if code == _EXPIRED:
        problem = f"its certificate has expired; this machine's clock says {now}"
        return problem, "set the clock if it is wrong; if it is right, only the host's owner can help"
    if code == _OTHER_NAME:
        return "its certificate is for another name", "see the address; a proxy may have answered instead"
    if code in _UNKNOWN_CA:
        problem = "its certificate is signed by a CA that this machine does not know"
        return problem, "give the CA: upstream.ca in site.yaml, or SSL_CERT_FILE"
    return f"its certificate is not accepted: {error.verify_message}", "ask the host's owner"


def _of_transport(where: str, host: str, error: Exception) -> HttpFailed:
    if isinstance(error, httpx.ProxyError):
        return _of_proxy(where, host, error)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return HttpFailed(Finding(where, f"is not an address: {error}", "write it as https://…"))
    later = "run the same command again; it resumes from here"
    problem, fix = f"cannot be reached: {error}", "see this machine's network"
    if isinstance(error, httpx.ConnectTimeout):
        fix = "see whether a firewall stands between; behind a proxy, set HTTPS_PROXY"
        problem = f"{host} does not answer"
    elif isinstance(error, httpx.TimeoutException):
        problem, fix = "went silent in the middle", later
    elif isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        problem, fix = "broke off before it was whole", later
    return HttpFailed(Finding(where, problem, fix), again=True)


def _of_proxy(where: str, host: str, error: httpx.ProxyError) -> HttpFailed:
    if "407" in str(error):
        return HttpFailed(Finding(where, *_said(host, 407, known=False, mirror=False)), status=407)
    return HttpFailed(Finding(where, f"the proxy does not let us through: {error}", "see HTTPS_PROXY"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, each once."""
    seen: set[int] = set()
    pending: BaseException | None = error
    while pending is not None and id(pending) not in seen:
        seen.add(id(pending))
        yield pending
        pending = pending.__cause__ or pending.__context__
