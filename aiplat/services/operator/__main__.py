"""`python -m aiplat.services.operator`: reads the command line, joins the parts, runs until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from aiplat.cluster.raw import RawObjects
from aiplat.errors import EXIT_BAD_INPUT, AiplatError
from aiplat.services.background import as_process
from aiplat.services.operator.bundle import read_bundle
from aiplat.services.operator.gateways import loads_of
from aiplat.services.operator.health import Pulse, health_port
from aiplat.services.operator.load import fetch_metrics
from aiplat.services.operator.reconcile import Reconciler
from aiplat.services.operator.team_objects import Platform
from aiplat.services.operator.team_pass import TeamKeeper
from aiplat.services.operator.watch import watch

MANAGER = "aiplat-operator"


@dataclass(frozen=True)
class Settings:
    """How one operator process runs."""

    bundle: Path
    namespace: str
    gateway_namespace: str
    gateway_port: int
    health_port: int
    kubeconfig: Path | None
    accounts: bool


def parse(arguments: list[str]) -> Settings:
    """Return the settings of a command line; prints what is wrong and exits 2 where it is."""
    parser = argparse.ArgumentParser(
        prog="aiplat-operator", description="Makes engines of Models, and namespaces of Teams."
    )
    parser.add_argument(
        "--bundle", type=Path, required=True, metavar="FILE", help="JSON: what the site's bundle holds"
    )
    parser.add_argument("--namespace", default="aiplat-model", help="where engines run (%(default)s)")
    parser.add_argument("--gateway-namespace", default="aiplat-access", help="(%(default)s)")
    parser.add_argument(
        "--gateway-port", type=int, default=9090, help="of the gateways' metrics (%(default)s)"
    )
    parser.add_argument("--health-port", type=int, default=8080, help="(%(default)s)")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="outside of a cluster")
    parser.add_argument(
        "--accounts", action="store_true", help="the gateways keep accounts of keys and teams"
    )
    return Settings(**vars(parser.parse_args(arguments)))


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        AiplatError, OSError, ValueError: cluster or bundle cannot be read.
    """
    read_bundle(settings.bundle)
    objects = (
        RawObjects.of_kubeconfig(settings.kubeconfig, MANAGER)
        if settings.kubeconfig
        else RawObjects.in_cluster(MANAGER)
    )
    reconciler = Reconciler(
        objects,
        settings.namespace,
        # Read in every pass: the kubelet replaces it when the release's bundle changes.
        bundle=lambda: read_bundle(settings.bundle),
        loads=loads_of(objects, settings.gateway_namespace, fetch_metrics(settings.gateway_port)),
    )
    platform = Platform(settings.namespace, settings.gateway_namespace)
    keeper = TeamKeeper(objects, platform, settings.accounts)
    pulse = Pulse()
    async with health_port(pulse, settings.health_port):
        await watch(reconciler, keeper, pulse, settings.kubeconfig)


def main() -> int:
    """Run the operator; returns its exit code: 0 after a signal, 2 for input that cannot be worked with."""
    settings = parse(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    if settings.kubeconfig:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)
    try:
        asyncio.run(as_process(run(settings)))
    except (AiplatError, OSError, ValueError) as error:
        logging.getLogger("aiplat.operator").critical("%s", error)
        return EXIT_BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
