"""One look at the cluster: what is listed has series, what cannot be read has none, too much is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aiplat.cluster.raw import NoAnswer, RawObjects
from aiplat.errors import Finding
from aiplat.services.states import look as looking
from aiplat.services.states.__main__ import parse
from aiplat.services.states.look import KINDS, StatesSeen, look


def namespace(name: str) -> dict[str, Any]:
    """Return a namespace."""
    return {"metadata": {"name": name}, "status": {"phase": "Active"}}


class Cluster:
    """Lists what it was given; a kind that is None does not answer."""

    def __init__(self, **kinds: Sequence[dict[str, Any]] | None) -> None:
        self.kinds = kinds
        self.pages: set[int] = set()

    def each(self, kind: str, *, page: int) -> Iterator[dict[str, Any]]:
        """Yield the objects of a kind."""
        self.pages.add(page)
        found = self.kinds.get(kind, ())
        if found is None:
            raise NoAnswer(Finding("Kubernetes API", "cannot be asked"))
        yield from found


def seen(cluster: Cluster, before: StatesSeen | None = None) -> dict[tuple[str, str], float]:
    """Return what one look tells: by series and by the label that matters here."""
    state = before or StatesSeen()
    look(cast(RawObjects, cluster), KINDS, state)
    found = {}
    for family in text_string_to_metric_families(state.text.decode()):
        for sample in family.samples:
            about = sample.labels.get("resource") or sample.labels.get("namespace", "")
            found[sample.name, about + sample.labels.get("result", "")] = sample.value
    return found


def test_what_is_listed_is_served() -> None:
    """With how often it was listed."""
    found = seen(Cluster(Namespace=[namespace("n")]))
    assert found["kube_namespace_status_phase", "n"] == 0  # the last of its phases
    assert found["kube_state_metrics_list_total", "namespacessuccess"] == 1


def test_what_does_not_answer_has_no_series_and_the_rest_has() -> None:
    """An old state would be taken for the present one."""
    state = StatesSeen()
    seen(Cluster(Namespace=[namespace("n")]), state)
    found = seen(Cluster(Namespace=None, PersistentVolume=[{"metadata": {"name": "v"}, "spec": {}}]), state)
    assert ("kube_namespace_status_phase", "n") not in found
    assert found["kube_state_metrics_list_total", "namespaceserror"] == 1
    assert found["kube_persistentvolume_capacity_bytes", ""] == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "much"}}},
        {"metadata": {"name": "v"}},
        {"metadata": {"name": 7}, "spec": {}},
        {"metadata": {"name": "v"}, "spec": "none"},
        None,
    ],
)
def test_an_object_that_is_not_as_it_should_be_is_lost_alone(
    odd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and the first of a kind is named; the others of its kind have their series."""
    right = {"metadata": {"name": "w"}, "spec": {"capacity": {"storage": "1Gi"}}}
    with caplog.at_level(logging.WARNING):
        found = seen(Cluster(Namespace=[namespace("n")], PersistentVolume=[odd, right, odd]))
    assert found["kube_persistentvolume_capacity_bytes", ""] == 1 << 30
    assert found["aiplat_states_object_errors", "persistentvolumes"] == 2
    assert found["aiplat_states_object_errors", "namespaces"] == 0
    assert found["kube_state_metrics_list_total", "persistentvolumessuccess"] == 1
    assert ("kube_namespace_status_phase", "n") in found
    assert len(caplog.messages) == 1


def test_no_more_is_served_than_prometheus_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is no room for is counted; few objects are held at once."""
    monkeypatch.setattr("aiplat.services.states.look.STATE_SERIES", 6)
    monkeypatch.setattr("aiplat.services.states.look.STATE_OBJECTS", 7)
    cluster = Cluster(Namespace=[namespace(f"n{i}") for i in range(5)])
    found = seen(cluster)
    assert sum(name == "kube_namespace_status_phase" for name, _ in found) == 3
    assert found["aiplat_states_left_out", "namespaces"] == 2
    assert cluster.pages == {7}


def test_it_is_alive_after_a_look_and_while_looks_are_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that hangs for minutes is one that has to be ended."""
    state = StatesSeen()
    assert not state.alive
    seen(Cluster(), state)
    assert state.alive
    monkeypatch.setattr(looking, "_LONGEST_LOOK_SECONDS", -1.0)
    assert not state.alive


def test_arguments_are_kube_state_metrics_own(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not know it names, with what it knows."""
    settings = parse(["--port=9", "--resources=pods,nodes"])
    assert (settings.port, settings.resources) == (9, ("nodes", "pods"))
    with pytest.raises(SystemExit):
        parse(["--resources=pods,secrets"])
    assert "unknown: secrets; there are nodes" in capsys.readouterr().err
