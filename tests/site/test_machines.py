"""What needs hosts says so at a site in an existing cluster, and looks at nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiplat.actions.bootstrap import Options, bootstrap
from aiplat.actions.doctor import judge_site
from aiplat.actions.doctor_hosts import examine
from aiplat.actions.egress import record_egress
from aiplat.actions.hosts import names_of
from aiplat.actions.node import remove_node
from aiplat.errors import BadInput
from aiplat.lab import lab_up
from aiplat.site.models import Site

NOBODY: Any = None
ASKED: dict[str, Callable[[Site], object]] = {
    "hosts": names_of,
    "lab up": lab_up,
    "bootstrap --lab": lambda site: bootstrap(site, Options(lab=True), NOBODY),
    "node remove": lambda site: remove_node(site, "n1", NOBODY),
    "doctor hosts": examine,
    "doctor gpu": judge_site,
    "verify --egress": lambda site: record_egress(site, 1, NOBODY, NOBODY),
}


@pytest.mark.parametrize("verb", sorted(ASKED))
def test_what_needs_hosts_is_refused_in_an_existing_cluster(verb: str) -> None:
    """It never ends in a traceback, and never says that all is well with hosts that are not there."""
    cluster = {"existing": "/kubeconfig", "registry": "registry.example:5000/aiplat"}
    said = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3", "cluster": cluster}
    with pytest.raises(BadInput, match="has no hosts"):
        ASKED[verb](Site.model_validate(said))
