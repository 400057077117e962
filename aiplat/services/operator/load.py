"""Asks the gateways how many requests each model has; what follows from it is decided in scaling."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable, Iterable

from prometheus_client.parser import text_string_to_metric_families

from aiplat.services.operator.scaling import Load

IN_FLIGHT, WAITING = "aiplat_gateway_in_flight", "aiplat_gateway_waiting"
_SECONDS = 2.0

log = logging.getLogger("aiplat.operator")

Fetch = Callable[[str], str]


def loads(addresses: Iterable[str], fetch: Fetch) -> dict[str, Load]:
    """Return the load of every model that the gateways know, added up over them.

    Nothing where no gateway answers. A gateway that does not answer leaves the sums incomplete.
    """
    counted: dict[str, dict[str, int]] = {}
    complete = True
    for address in addresses:
        try:
            _add(counted, fetch(address))
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.warning("gateway %s does not say its load: %s", address, error)
            complete = False
    return {
        model: Load(seen.get(IN_FLIGHT, 0), seen.get(WAITING, 0), complete)
        for model, seen in counted.items()
        if seen.keys() == {IN_FLIGHT, WAITING}
    }


def fetch_metrics(port: int) -> Fetch:
    """Return a function that fetches the metrics page of a gateway by its address.

    That one raises OSError or HTTPException where there is no answer.
    """

    def fetch(address: str) -> str:
        connection = http.client.HTTPConnection(address, port, timeout=_SECONDS)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}")
        return text

    return fetch


def _add(counted: dict[str, dict[str, int]], text: str) -> None:
    for family in text_string_to_metric_families(text):
        if family.name in {IN_FLIGHT, WAITING}:
            for sample in family.samples:
                model = sample.labels.get("model")
                if model:
                    of_model = counted.setdefault(model, {})
                    of_model[family.name] = of_model.get(family.name, 0) + int(sample.value)
