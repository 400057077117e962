"""The gateway's command line; what the options mean for the rest is in serve."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from aiplat.services.gateway.config.files import AloneConfig, read_config


@dataclass(frozen=True)
class Telemetry:
    """Where spans of requests are sent (OTLP over HTTP, the whole URL), and of which share."""

    endpoint: str
    ratio: float = 1.0
    ca: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True)
class GatewaySettings:
    """How one gateway process runs. Sizes in MiB."""

    keys: Path | None
    config: Path | None = None
    accounts: Path | None = None
    static: Path | None = None
    namespace: str | None = None
    routes: Path | None = None
    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside itself
    port: int = 8443
    health_port: int = 9090
    tls_cert: Path | None = None
    tls_key: Path | None = None
    max_body_mib: int = 16
    max_bodies_mib: int = 96
    cors_origins: tuple[str, ...] = ("*",)
    telemetry: Telemetry | None = None


def _origins(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiplat-gateway",
        description="OpenAI's and Ollama's APIs in front of the models of a site.",
        epilog="A key file holds `sha256:` and the hex digest of a key; its name is the key's id. "
        "`--config FILE` stands alone: everything else is then in the file.",
    )
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--namespace", help="find models by the label aiplat.dev/model on Services in here")
    models.add_argument(
        "--static", type=Path, metavar="FILE", help="JSON: models, providers, fallbacks, egress"
    )
    parser.add_argument(
        "--routes", type=Path, metavar="FILE", help="JSON as of --static: what --namespace does not find"
    )
    parser.add_argument("--keys", type=Path, required=True, metavar="FOLDER", help="one file per key")
    parser.add_argument(
        "--accounts",
        type=Path,
        metavar="FILE",
        help="JSON or YAML: database, spool, prices; without it, no accounts",
    )
    parser.add_argument(
        "--host",
        default=GatewaySettings.host,
        help="address to listen on (%(default)s); empty, all of both families",
    )
    parser.add_argument(
        "--port", type=int, default=GatewaySettings.port, help="port of the APIs (%(default)s)"
    )
    parser.add_argument("--health-port", type=int, default=GatewaySettings.health_port, help="(%(default)s)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM; without it, plain HTTP")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")
    parser.add_argument(
        "--max-body-mib", type=int, default=GatewaySettings.max_body_mib, help="one request (%(default)s)"
    )
    parser.add_argument(
        "--max-bodies-mib",
        type=int,
        default=GatewaySettings.max_bodies_mib,
        help="all, in memory (%(default)s)",
    )
    parser.add_argument(
        "--cors-origins",
        type=_origins,
        default=GatewaySettings.cors_origins,
        metavar="LIST",
        help="origins of pages that may ask, with commas between; empty for none (*)",
    )
    traces = parser.add_argument_group(
        "traces", "spans of requests for OpenTelemetry; none without an endpoint"
    )
    traces.add_argument("--otlp-endpoint", metavar="URL", help="such as https://collector.example/v1/traces")
    traces.add_argument("--otlp-ratio", type=_share, default=1.0, help="share of the requests (%(default)s)")
    traces.add_argument("--otlp-ca", type=Path, metavar="FILE", help="PEM; else the system's authorities")
    traces.add_argument("--otlp-token", type=Path, metavar="FILE", help="sent as a bearer token")
    return parser


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


def parse(arguments: list[str]) -> GatewaySettings:
    """Return the settings of a command line; prints what is wrong with it and exits 2 where it is.

    Raises:
        BadInput: the file of `--config` cannot be worked with.
    """
    if arguments and arguments[0].partition("=")[0] == "--config":
        return _alone(arguments)
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    values = vars(given)
    endpoint, ratio, ca, token = (values.pop(f"otlp_{name}") for name in ("endpoint", "ratio", "ca", "token"))
    if endpoint and not endpoint.startswith(("http://", "https://")):
        parser.error(f"--otlp-endpoint: {endpoint} is not a URL; it must begin with http:// or https://")
    return GatewaySettings(**values, telemetry=Telemetry(endpoint, ratio, ca, token) if endpoint else None)


def _alone(arguments: list[str]) -> GatewaySettings:
    parser = argparse.ArgumentParser(prog="aiplat-gateway", description="A gateway without a cluster.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    path = parser.parse_args(arguments).config
    config = read_config(path, AloneConfig)
    return GatewaySettings(
        keys=None,
        config=path,
        host=config.listen.host,
        port=config.listen.port,
        health_port=config.listen.health_port,
        tls_cert=config.tls.cert if config.tls else None,
        tls_key=config.tls.key if config.tls else None,
        max_body_mib=config.max_body_mib,
        max_bodies_mib=config.max_bodies_mib,
        cors_origins=config.cors_origins,
    )
