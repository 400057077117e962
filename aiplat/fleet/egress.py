"""Records on all hosts of a site at once what they send outside; what follows from it is aiplat.actions'."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

from pydantic import Field

from aiplat.errors import Finding
from aiplat.fleet.side_by_side import of_each
from aiplat.fleet.ssh import HostError
from aiplat.fleet.stream import Stream
from aiplat.frozen import Frozen
from aiplat.site.addresses import as_ip
from aiplat.site.models import Host, Site

_SCRIPT = ("record_egress.py",)
_ANSWER_SECONDS = 60.0
# What a cluster calls its own, whatever the site's outer domain is.
_CLUSTER_DOMAIN = "cluster.local"


class HostAttempt(Frozen):
    """What began on a host and went to outside, as often as it was tried; `left` of them left the host.

    `kind` is `name` where only a name was asked for, of a resolver inside; `name` is what a DNS message asks.
    """

    kind: Literal["connection", "name"]
    source: str
    pod: str
    process: str
    unit: str
    destination: str
    protocol: str
    port: int
    name: str
    tried: int = Field(ge=0)
    left: int = Field(ge=0)
    first: float
    last: float


class HostRecord(Frozen):
    """What one host recorded; `more` attempts had no room, `lost` packets were too fast to be read."""

    attempts: tuple[HostAttempt, ...]
    more: int = 0
    lost: int = 0


class _Ready(Frozen):
    ready: Literal[True]


class EgressRecording:
    """A recording on every host of a site, which begins when it is entered and ends with `stop`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._streams: dict[str, Stream] = {}
        self.problems: dict[str, Finding] = {}

    def __enter__(self) -> Self:
        """Begin on all hosts; one that cannot record is among the problems."""
        of_each(self._site.hosts, self._begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still records."""
        for stream in self._streams.values():
            stream.close()

    @property
    def hosts(self) -> Sequence[str]:
        """The hosts that record."""
        return tuple(self._streams)

    def stop(self) -> dict[str, HostRecord]:
        """End the recording and return what each host saw; a connection that broke is among the problems."""
        found: dict[str, HostRecord] = {}
        for name, stream in self._streams.items():
            try:
                stream.say({"end": True})
                found[name] = stream.hear(HostRecord, _ANSWER_SECONDS)
            except HostError as error:
                self.problems[name] = error.findings[0]
        return found

    def _begin(self, host: Host) -> None:
        try:
            stream = Stream(self._site, host, _SCRIPT)
            stream.say(_asked(self._site))
            stream.hear(_Ready, _ANSWER_SECONDS)
            self._streams[host.name] = stream
        except HostError as error:
            self.problems[host.name] = error.findings[0]


def _asked(site: Site) -> dict[str, object]:
    """Return what is inside of a site: its networks, its hosts' addresses, and its own names."""
    cluster = site.cluster
    pods = list(cluster.pod_networks)
    said = [address for host in site.hosts for address in (host.address, *host.node_ips)]
    hosts = [str(ip) for ip in map(as_ip, said) if ip]
    names = [_CLUSTER_DOMAIN, site.domain, *(host.name for host in site.hosts)]
    return {"inside": [*pods, *cluster.service_networks, *hosts], "pods": pods, "names": names}
