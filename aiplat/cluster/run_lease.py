"""The Lease in a cluster that says whose run changes it; who takes it, and when it falls, is fleet's."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from aiplat.cluster.no_answer import reason_of
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.moments import moment_of

NAMESPACE, NAME = "kube-system", "aiplat-run"
"""Where it is: in a namespace that every cluster has, before the platform's and after it."""
_HOLDER = "aiplat.dev/run-holder"
_SECONDS = (4, 4)
"""How long connecting and an answer may take: renewing has to try again before the lease falls."""
_NOT_FOUND, _CONFLICT = 404, 409


class LeaseUnseen(AiplatError):
    """The API does not say whose the lease is, or takes none."""


class SeenLease(Frozen):
    """The lease as it is: its holder's words (JSON), when it falls by the cluster's clock, its version."""

    holder: str
    until: datetime
    fallen: bool
    version: str
    uid: str


class RunLease:
    """The one lease of a cluster. All times are the API server's: operators' clocks may differ."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._clock = datetime.now(UTC), time.monotonic()
        self.connect()

    def connect(self) -> None:
        """Begin with the kubeconfig as it is now: what a program gave as credentials may have ended.

        Raises:
            BadInput: it is not a kubeconfig.
        """
        settings = client.Configuration()
        try:
            config.load_kube_config(str(self._kubeconfig), client_configuration=settings)
        except (ConfigException, OSError, ValueError, TypeError) as error:
            raise BadInput(Finding(str(self._kubeconfig), f"is not a kubeconfig: {error}")) from error
        # Renewing tries again itself, in time.
        settings.retries = False
        self._server = settings.host
        self._leases = client.CoordinationV1Api(client.ApiClient(settings))

    def read(self) -> SeenLease | None:
        """Return the lease, or None where nobody holds it.

        Raises:
            LeaseUnseen: the API does not say.
        """
        return self._ask(self._leases.read_namespaced_lease_with_http_info, name=NAME)

    def create(self, holder: str, seconds: int) -> SeenLease | None:
        """Make the lease for a holder; None where there is one. `read` comes before: it tells the time.

        Raises:
            LeaseUnseen: the API takes none.
        """
        return self._ask(
            self._leases.create_namespaced_lease_with_http_info, body=self._body(holder, seconds)
        )

    def replace(self, seen: SeenLease, holder: str, seconds: int) -> SeenLease | None:
        """Renew the lease, or take it over, while it is still as it was seen; None where it is not.

        Raises:
            LeaseUnseen: the API could not be asked, or takes none.
        """
        body = self._body(holder, seconds)
        body["metadata"] |= {"resourceVersion": seen.version, "uid": seen.uid}
        return self._ask(self._leases.replace_namespaced_lease_with_http_info, name=NAME, body=body)

    def delete(self, seen: SeenLease) -> None:
        """Remove the lease, if it is still as it was seen.

        Raises:
            LeaseUnseen: the API could not be asked.
        """
        only: Any = {"preconditions": {"uid": seen.uid, "resourceVersion": seen.version}}
        self._ask(self._leases.delete_namespaced_lease_with_http_info, name=NAME, body=only)

    def _body(self, holder: str, seconds: int) -> Any:
        now = self._now()
        labels = {"app.kubernetes.io/managed-by": "aiplat"}
        meta = {"name": NAME, "namespace": NAMESPACE, "labels": labels, "annotations": {_HOLDER: holder}}
        spec = {"holderIdentity": "aiplat", "leaseDurationSeconds": seconds, "renewTime": _text(now)}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}

    def _now(self) -> datetime:
        said, heard = self._clock
        return said + timedelta(seconds=time.monotonic() - heard)

    def _ask(self, question: Any, **query: Any) -> SeenLease | None:
        try:
            answer, _, headers = question(namespace=NAMESPACE, _request_timeout=_SECONDS, **query)
        except ApiException as error:
            self._hear(error.headers)
            if error.status in (_NOT_FOUND, _CONFLICT):
                return None
            raise self._unseen(error) from error
        except (HTTPError, OSError) as error:
            raise self._unseen(error) from error
        self._hear(headers)
        document = self._leases.api_client.sanitize_for_serialization(answer)
        return self._seen(document) if document.get("kind") == "Lease" else None

    def _hear(self, headers: Any) -> None:
        """Take the time from an answer of the API server."""
        if said := (headers or {}).get("Date"):
            self._clock = parsedate_to_datetime(said), time.monotonic()

    def _seen(self, document: dict[str, Any]) -> SeenLease:
        meta, spec = document["metadata"], document.get("spec") or {}
        renewed = spec.get("renewTime") or meta.get("creationTimestamp") or _text(self._now())
        until = moment_of(renewed) + timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0))
        return SeenLease(
            holder=(meta.get("annotations") or {}).get(_HOLDER, "{}"),
            until=until,
            fallen=until < self._now(),
            version=meta["resourceVersion"],
            uid=meta["uid"],
        )

    def _unseen(self, cause: object) -> LeaseUnseen:
        problem = f"whose run changes the cluster cannot be told: {reason_of(cause)}"
        fix = f"see whether `kubectl get leases --namespace {NAMESPACE}` works"
        return LeaseUnseen(Finding(f"Kubernetes API {self._server}", problem, fix))


def _text(moment: datetime) -> str:
    """Return a moment as Kubernetes' MicroTime takes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
