"""What answering a request needs of the gateway: models, replicas, connections, memory, admission."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aiplat.services.gateway.http.answer_memory import AnswerMemory
from aiplat.services.gateway.http.bodies import Memory
from aiplat.services.gateway.requests.admission import Admission, OpenAdmission
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.routing.models import ModelTable
from aiplat.services.gateway.routing.replicas import Pools
from aiplat.services.gateway.upstream.connections import Upstreams
from aiplat.services.gateway.upstream.document import RejectedFields
from aiplat.services.gateway.upstream.providers import Providers


class Audit(Protocol):
    """Takes events of the data path; must neither block nor raise."""

    def __call__(self, event: str, context: RequestContext, **facts: str) -> None:
        """Take one event, such as `fallback.used`."""


class Counters(Protocol):
    """Counts what happens between request and answer."""

    def retried(self) -> None:
        """An upstream was asked again before its first byte."""

    def fallbacks(self, asked: str, answered: str) -> None:
        """Another model answered than the one that was asked."""

    def provider_answered(self, model: str, provider: str, status: int) -> None:
        """A provider answered, with an HTTP status."""


def no_audit(event: str, context: RequestContext, **facts: str) -> None:
    """Keep no events."""


@dataclass(frozen=True)
class Backends:
    """One for the life of the process."""

    table: ModelTable
    upstreams: Upstreams
    memory: Memory
    counters: Counters
    pools: Pools
    providers: Providers = field(default_factory=Providers)
    admission: Admission = field(default_factory=OpenAdmission)
    audit: Audit = no_audit
    answers: AnswerMemory = field(default_factory=AnswerMemory)
    rejected_fields: RejectedFields = field(default_factory=RejectedFields)

    def names_for(self, context: RequestContext) -> list[str]:
        """Return the names of the models that the request's key may use."""
        return [m.name for m in self.table.all() if context.may_use(m)]
