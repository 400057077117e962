"""The gateway's release where the site names an endpoint for traces."""

from __future__ import annotations

import json
from pathlib import Path

from tests.charts.conftest import VALUES, Helm, documents


def test_an_endpoint_of_traces_is_an_argument_and_its_token_a_file(
    helm: Helm, charts: dict[str, Path], tmp_path: Path
) -> None:
    """The token is on no command line; without an endpoint there is nothing of it."""
    more = tmp_path / "values.json"
    telemetry = {"otlp": "https://collector.example/v1/traces", "ratio": 0.1, "token": "t0ken"}
    more.write_text(json.dumps({"telemetry": telemetry}))
    given = ("-n", "aiplat-access", "-f", VALUES / "values-gateway.yaml")
    done = helm("template", "gateway", charts["gateway"], *given, "-f", more)
    assert done.returncode == 0, done.stderr
    found = {(d["kind"], d["metadata"]["name"]): d for d in documents(done.stdout)}
    pod = found["Deployment", "gateway"]["spec"]["template"]["spec"]
    arguments = pod["containers"][0]["args"]
    assert {"--otlp-endpoint=https://collector.example/v1/traces", "--otlp-ratio=0.1"} <= set(arguments)
    assert "--otlp-token=/etc/aiplat/telemetry/token" in arguments
    assert found["Secret", "gateway-telemetry"]["stringData"]["token"] == "t0ken"
    assert "t0ken" not in json.dumps(found["Deployment", "gateway"])
    without = helm("template", "gateway", charts["gateway"], *given)
    assert "telemetry" not in without.stdout
