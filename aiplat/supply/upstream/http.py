"""Asks upstream hosts and fetches files from them, however badly they answer; which files is not known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from aiplat.errors import AiplatError, Finding
from aiplat.site.models import Upstream
from aiplat.supply.upstream.partial import OnBytes, Partial, WantedFile
from aiplat.supply.upstream.reach import Credential, Reach
from aiplat.supply.upstream.sentences import HttpFailed, host_of, of_fault, of_status, plain

REDIRECTS = 8
ANSWER_LIMIT = 16 << 20
"""Bytes that an answer kept in memory may have, unless its asker says otherwise."""
_WORTH = 1 << 20
"""Bytes that a try must have brought so as not to count as failed."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How long is waited for what, in seconds; `tries` is how often without getting on."""

    tries: int = 5
    connect: float = 15
    stall: float = 60
    first: float = 0.5
    longest: float = 60
    asked: float = 300


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer; names of headers match in any case, `url` is where it came from at last."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True)
class Downloaded:
    """A file that is there and whole."""

    path: Path
    digest: str
    size: int
    url: str


class HttpClient:
    """Asks through the site's mirrors, proxies and CA; safe to use from several threads."""

    def __init__(self, upstream: Upstream | None = None, patience: Patience | None = None) -> None:
        self.reach = Reach(upstream)
        self.patience = patience or Patience()
        timeout = httpx.Timeout(self.patience.stall, connect=self.patience.connect)
        self._client = self.reach.client(timeout)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End what is under way at the next byte or wait; what is there already stays."""
        self._stopped.set()

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def address(self, url: str) -> str:
        """Return where a request for `url` really goes."""
        return self.reach.address(url)

    def credential(self, host: str) -> Credential | None:
        """Return who to be for a host, or None.

        Raises:
            BadInput: site.yaml names a secret that is not there.
        """
        return self.reach.credential(host)

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = ANSWER_LIMIT,
        allow: Collection[int] = (),
        method: str = "GET",
    ) -> HttpResponse:
        """Return the answer to a request; one of another status than 200 or those in `allow` is a failure.

        Raises:
            HttpFailed: no usable answer came, however often it was asked for.
        """

        def once() -> HttpResponse:
            with self._asked(method, url, headers or {}, {200, *allow}) as response:
                body = bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > limit:
                        problem = f"answers with more than {limit} bytes"
                        raise HttpFailed(Finding(plain(url), problem, "see whether the address is right"))
                return HttpResponse(response.status_code, response.headers, bytes(body), str(response.url))

        return self._persist(once, lambda: 0)

    def head(self, url: str, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """Return status and headers alone.

        Raises:
            HttpFailed: no usable answer came.
        """
        return self.get(url, headers=headers, method="HEAD")

    def download(  # noqa: PLR0913 - what it must be, how it is asked for, who is told
        self,
        url: str,
        target: Path,
        *,
        digest: str | None = None,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Downloaded:
        """Bring a file, going on with what an earlier try left; `target` appears only once it is whole.

        `digest` and `size` are what it must have. What came before is kept beside `target` when this fails.
        `on_bytes` is told how many bytes are there, and of how many (0: unknown).

        Raises:
            HttpFailed: it cannot be had, or is not what it must be.
            AiplatError: the disk has no room for it.
        """
        partial = Partial(target, WantedFile(plain(url), digest, size), on_bytes)

        def once() -> Downloaded:
            if not partial.complete:
                self._continue(url, partial, headers or {})
            return Downloaded(target, *partial.finish(), url)

        with partial.held():
            if whole := partial.finished():
                return Downloaded(target, *whole, url)
            return self._persist(once, lambda: partial.offset)

    def _continue(self, url: str, partial: Partial, headers: Mapping[str, str]) -> None:
        """Ask for what is missing of a file and write it down as it comes."""
        asked = {"Accept-Encoding": "identity", **headers, **partial.range_headers()}
        with self._asked("GET", url, asked, {200, 206, 416}) as response:
            if not partial.begins(response.status_code, response.headers):
                raise HttpFailed(Finding(plain(url), "does not go on where it broke off"), again=True)
            if partial.complete:
                return
            watch = _Watch(plain(url), self.patience.stall)
            # Without a size of its own: what is gathered for one would be lost when the body breaks off.
            for piece in response.iter_raw():
                if self._stopped.is_set():
                    raise _interrupted(url)
                watch.saw(len(piece))
                partial.write(piece)
            partial.end()

    @contextmanager
    def _asked(
        self, method: str, url: str, headers: Mapping[str, str], good: Collection[int]
    ) -> Iterator[httpx.Response]:
        """Give the answer that a request ends at, its body unread, after all redirects."""
        way = _Way(self.reach.address(url), dict(headers))
        try:
            while True:
                sent = self._who(way)
                request = self._client.build_request(method, way.url, headers=sent)
                response = self._client.send(request, stream=True)
                try:
                    if response.is_redirect and response.status_code not in good:
                        way.turn(self.reach.address(urljoin(way.url, response.headers["Location"])))
                        continue
                    if response.status_code not in good:
                        raise self._refused(url, response, known="Authorization" in sent)
                    yield response
                    return
                finally:
                    response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise of_fault(way.url, error, self.reach.proxy(way.url)) from error

    def _who(self, way: _Way) -> dict[str, str]:
        """Return a request's headers, with the site's credentials for just this host.

        An empty Authorization asks as nobody: registries say by a challenge what they want.
        """
        said = {name: value for name, value in way.headers.items() if value}
        known = self.reach.credential(host_of(way.url))
        if known is None or any(name.lower() == "authorization" for name in way.headers):
            return said
        return {**said, "Authorization": known.header}

    def _refused(self, url: str, response: httpx.Response, *, known: bool) -> HttpFailed:
        at = str(response.url)
        after = retry_after(response.headers.get("Retry-After"))
        mirror = host_of(at) != host_of(url) and self.reach.mirrored(url)
        return of_status(at, response.status_code, known=known, mirror=mirror, after=after)

    def _persist(self, once: Callable[[], Result], progress: Callable[[], int]) -> Result:
        """Do it again while that may help; what brought bytes does not count as a failed try."""
        tries = _Tries(self.patience, progress)
        again = Retrying(
            retry=retry_if_exception(tries.worth),
            stop=tries.over,
            wait=tries.pause,
            sleep=self._sleep,
            reraise=True,
        )
        return again(once)

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise _interrupted("upstream")


class _Tries:
    """Whether to ask once more, and when."""

    def __init__(self, patience: Patience, progress: Callable[[], int]) -> None:
        self._patience = patience
        self._progress = progress
        self._best = progress()
        self._in_vain = 0
        self._growing = wait_random_exponential(multiplier=patience.first, max=patience.longest)

    def worth(self, error: BaseException) -> bool:
        """Whether the failure may pass, and within the time that we wait at most."""
        return isinstance(error, HttpFailed) and error.again and (error.after or 0) <= self._patience.asked

    def over(self, _: RetryCallState) -> bool:
        """Whether it failed too often without getting on."""
        there = self._progress()
        forward = there >= self._best + _WORTH
        self._in_vain = 1 if forward else self._in_vain + 1
        self._best = there if forward else self._best
        return self._in_vain >= self._patience.tries

    def pause(self, state: RetryCallState) -> float:
        """How long to wait: as long as the other side says, else longer each time."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.after if isinstance(error, HttpFailed) else None
        return asked if asked is not None else self._growing(state)


@dataclass
class _Way:
    """The way of one request from redirect to redirect."""

    url: str
    headers: dict[str, str]
    seen: list[str] = field(default_factory=list)

    def turn(self, target: str) -> None:
        """Go where an answer points to; what was for one host alone stays behind.

        Raises:
            HttpFailed: it leads in a circle, too far, or out of TLS.
        """
        self.seen.append(self.url)
        where = plain(self.seen[0])
        if target in self.seen:
            hosts = " → ".join(plain(url) for url in [*self.seen, target][-4:])
            problem = f"redirects in a circle: {hosts}"
            raise HttpFailed(Finding(where, problem, "see the address, and a proxy or mirror in between"))
        if len(self.seen) > REDIRECTS:
            raise HttpFailed(Finding(where, f"redirects more than {REDIRECTS} times", "see the address"))
        scheme = urlsplit(target).scheme
        if urlsplit(self.url).scheme == "https" and scheme != "https":
            problem = f"redirects from https to {plain(target)}"
            raise HttpFailed(Finding(where, problem, "give an address, or a mirror, that stays with https"))
        if scheme not in {"http", "https"}:
            raise HttpFailed(Finding(where, f"redirects to {scheme}:, which is not a web address", ""))
        if urlsplit(target).netloc != urlsplit(self.url).netloc:
            private = {"authorization", "cookie", "proxy-authorization"}
            self.headers = {k: v for k, v in self.headers.items() if k.lower() not in private}
        self.url = target


class _Watch:
    """Ends a body that keeps dripping: what comes in `seconds` must be worth waiting for."""

    LEAST = 1024

    def __init__(self, where: str, seconds: float) -> None:
        self._where, self._seconds = where, seconds
        self._since, self._count = time.monotonic(), 0

    def saw(self, count: int) -> None:
        """Take note of bytes.

        Raises:
            HttpFailed: there were too few in that time.
        """
        self._count += count
        passed = time.monotonic() - self._since
        if passed < self._seconds:
            return
        if self._count < self.LEAST:
            problem = f"sends less than {self.LEAST} bytes in {self._seconds:.0f} s"
            raise HttpFailed(Finding(self._where, problem, "try again later, or use a mirror"), again=True)
        self._since, self._count = time.monotonic(), 0


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header means, given as seconds or as a date; None if neither."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _interrupted(url: str) -> AiplatError:
    return AiplatError(Finding(plain(url), "was interrupted", "run the same command to resume"))
