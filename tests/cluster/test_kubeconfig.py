"""A kubeconfig that cannot be used is refused in one form, whoever reads it first."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.actions.doctor_cluster import examine_cluster
from aiplat.cluster.kubeconfig import flattened
from aiplat.errors import BadInput

BENT = {
    "": "there is no kubeconfig",
    "127.0.0.1 localhost": "it is not a kubeconfig",
    "]": "cannot be used",
    '{"contexts": [], "current-context": "lab"}': "nothing in it is called 'lab'",
}


@pytest.mark.parametrize("text", BENT)
def test_the_cause_is_named_and_what_to_do(tmp_path: Path, text: str) -> None:
    """Before a plan as before a look with `aiplat doctor cluster`."""
    path = tmp_path / "kubeconfig"
    if text:
        path.write_text(text)
    with pytest.raises(BadInput, match=BENT[text]) as planned:
        flattened(path, None)
    with pytest.raises(BadInput) as looked:
        examine_cluster(path, None)
    assert str(looked.value) == str(planned.value)
    assert "kubectl config" in str(planned.value)
