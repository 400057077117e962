"""Whether a request may go on: what the data path asks of accounts; a gateway without them lets all go on."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from aiplat.services.gateway.requests.admitted import Admitted, AdmittedFreely
from aiplat.services.gateway.requests.auth import ApiKey
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.gateway.routing.models import Model


class Admission(Protocol):
    """Decides whether requests may go on: scopes, budgets, rates."""

    def check_rates(self, key: ApiKey | None) -> None:
        """Return where the key may ask anything now; called before the body is read.

        Raises:
            ApiError: it may not.
        """

    async def admit(
        self, context: RequestContext, model: Model, document: dict[str, Any], estimate: TokenUsage
    ) -> Admitted:
        """Return what a request is admitted to that may go on.

        Raises:
            ApiError: it may not go on.
        """


class OpenAdmission:
    """Lets every key use every model."""

    def check_rates(self, key: ApiKey | None) -> None:
        """Let it ask."""

    async def admit(
        self,
        context: RequestContext,  # noqa: ARG002 - the protocol's names
        model: Model,  # noqa: ARG002
        document: dict[str, Any],  # noqa: ARG002
        estimate: TokenUsage,
    ) -> AdmittedFreely:
        """Let it go on."""
        return AdmittedFreely(estimate)


class ModelRequest(NamedTuple):
    """A request body that was understood and admitted: which model, and the document."""

    model: Model
    document: dict[str, Any]
    admitted: Admitted

    @property
    def streams(self) -> bool:
        """Whether `stream` is true in the document."""
        return self.document.get("stream") is True
