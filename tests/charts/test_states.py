"""Who exports the states of objects: kube-state-metrics by `upstream`, aiplat's own image by `packages`."""

from __future__ import annotations

from pathlib import Path

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.plan.releases import releases_of
from tests.charts.conftest import VALUES, Helm, documents
from tests.plan.test_golden import SITE
from tests.plan.worlds import PUBLIC

THEIRS = "registry.k8s.io/kube-state-metrics/kube-state-metrics"


def test_upstream_brings_their_image_and_packages_does_not() -> None:
    """The lock of `packages` has nothing of it, and the plan refuses neither."""
    by_supply = {supply: resolve(SITE, supply=supply) for supply in ("packages", "upstream")}
    names = {supply: {a.name for a in lock.artifacts} for supply, lock in by_supply.items()}
    assert THEIRS in names["upstream"]
    assert THEIRS not in names["packages"]
    values = {
        supply: next(
            r.values
            for r in releases_of(SITE, lock, load_catalog(), PUBLIC.identities)
            if r.name == "kube-state-metrics"
        )
        for supply, lock in by_supply.items()
    }
    assert "aiplat.services.states" in values["packages"]
    assert THEIRS in values["upstream"]
    assert "command" not in values["upstream"]


def test_their_image_is_told_which_series_to_have(helm: Helm, charts: dict[str, Path]) -> None:
    """Its own entry point runs, with the list that aiplat's exporter keeps to."""
    name, values = "kube-state-metrics", VALUES / "values-kube-state-metrics.yaml"
    done = helm("template", name, charts[name], "-f", values, "--set-json", "command=[]")
    assert done.returncode == 0, done.stderr
    (deployment,) = (d for d in documents(done.stdout) if d["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "command" not in container
    (allowed,) = (a for a in container["args"] if a.startswith("--metric-allowlist="))
    assert "kube_pod_status_phase" in allowed.partition("=")[2].split(",")
