"""What nodes offer of their GPUs by how a site shares them; the component gpu-operator makes it so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiplat.fit.devices import find_device
from aiplat.fit.placement import gib
from aiplat.plan.role_variables import SharedGpus, SharedNode, SharingConfig
from aiplat.plan.yaml_text import to_yaml
from aiplat.site.gpu_settings import GpuSettings
from aiplat.site.mig import layout_on, mig_card
from aiplat.site.models import Host, Site

GPU = "nvidia.com/gpu"
PLUGIN_LABEL, MIG_LABEL = "nvidia.com/device-plugin.config", "nvidia.com/mig.config"
WHOLE, NO_MIG = "whole", "all-disabled"
PLUGIN_CONFIGS, MIG_LAYOUTS = "gpu-sharing", "mig-layouts"
"""The ConfigMaps that gpu-operator's values name."""


@dataclass(frozen=True)
class Offer:
    """What a host's node offers pods: how many of which resource, and the labels that make it so.

    `says` is what that gives and takes, as the plan shows it.
    """

    host: str
    resources: Mapping[str, int]
    labels: Mapping[str, str]
    says: str


def offers(site: Site) -> tuple[Offer, ...]:
    """Return what each host with GPUs offers, in the order of the site."""
    return tuple(_offer(host) for host in site.hosts if host.has_gpus)


def plugin_data(site: Site) -> dict[str, str]:
    """Return the device plugin's configurations by the names that nodes are labelled with."""
    found = {WHOLE: _plugin({})} | {_plugin_name(host): _plugin_config(host) for host in _with_gpus(site)}
    return {name: to_yaml(config) for name, config in found.items()}


def mig_data(site: Site) -> dict[str, str]:
    """Return the file of the MIG manager's layouts by its name; empty where no host asks for MIG."""
    found: dict[str, Any] = {
        _mig_name(layout): [{"devices": "all", "mig-enabled": True, "mig-devices": layout}]
        for host in _with_gpus(site)
        if (layout := mig_layout(host))
    }
    layouts = {NO_MIG: [{"devices": "all", "mig-enabled": False}], **found}
    return {"config.yaml": to_yaml({"version": "v1", "mig-configs": layouts})} if found else {}


def gpu_sharing(site: Site, namespace: str | None) -> list[SharedGpus]:
    """Return the variables of the role that shares GPUs; none where nobody asked.

    `namespace` is where gpu-operator keeps its configurations, None where the site goes without it.
    """
    asked = namespace is not None or any(isinstance(host.gpu, GpuSettings) for host in site.hosts)
    nodes = tuple(
        SharedNode(name=o.host, labels=dict(o.labels), resources=dict(o.resources), says=o.says)
        for o in offers(site)
    )
    data = {PLUGIN_CONFIGS: plugin_data(site), MIG_LAYOUTS: mig_data(site)}
    configs = tuple(
        SharingConfig(name=name, namespace=namespace, data=entries)
        for name, entries in data.items()
        if namespace is not None and entries
    )
    return [SharedGpus(nodes=nodes, configs=configs)] if asked and nodes else []


def mig_layout(host: Host) -> dict[str, int]:
    """Return the MIG instances of each card of a host, by profile; empty where it asks for none."""
    return layout_on(host.hardware.gpus, host.sharing.mig) if host.has_gpus else {}


def _with_gpus(site: Site) -> list[Host]:
    return [host for host in site.hosts if host.has_gpus]


def _offer(host: Host) -> Offer:
    cards, layout = len(host.hardware.gpus), mig_layout(host)
    shares = host.sharing.time_slicing or host.sharing.mps or 1
    found = Counter({f"nvidia.com/mig-{profile}": n * cards for profile, n in layout.items()})
    resources = dict(found) if layout else {GPU: cards * shares}
    labels = {PLUGIN_LABEL: _plugin_name(host)}
    if all(mig_card(name) for name in host.hardware.gpus):
        labels[MIG_LABEL] = _mig_name(layout) if layout else NO_MIG
    listed = ", ".join(f"{number} {name}" for name, number in resources.items())
    return Offer(host.name, resources, labels, f"{listed}, {_effect(host)}")


def _effect(host: Host) -> str:
    """Return what a way of sharing gives and takes."""
    total = min((d.total for name in host.hardware.gpus if (d := find_device(name)) and d.total), default=0)
    if host.sharing.time_slicing:
        return f"no memory isolation, each sees {gib(total) if total else 'all the memory'}"
    if host.sharing.mps:
        part = gib(total / host.sharing.mps) if total else f"1/{host.sharing.mps} of the memory"
        return f"each held to {part}, no fault isolation: one that crashes may end the others"
    if host.sharing.mig:
        return f"memory and faults apart; no {GPU} is left"
    return "each a whole card"


def _plugin_name(host: Host) -> str:
    if host.sharing.time_slicing:
        return f"time-slicing-{host.sharing.time_slicing}"
    return f"mps-{host.sharing.mps}" if host.sharing.mps else WHOLE


def _plugin_config(host: Host) -> dict[str, Any]:
    resources = [{"name": GPU, "replicas": host.sharing.time_slicing or host.sharing.mps}]
    if host.sharing.time_slicing:
        # A second share of a card gives a pod no more time and no more memory: it is refused instead.
        return _plugin({"timeSlicing": {"failRequestsGreaterThanOne": True, "resources": resources}})
    return _plugin({"mps": {"resources": resources}} if host.sharing.mps else {})


def _plugin(sharing: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {"version": "v1", "flags": {"migStrategy": "mixed"}}
    return {**config, "sharing": sharing} if sharing else config


def _mig_name(layout: Mapping[str, int]) -> str:
    return "_".join(f"{profile}-{number}" for profile, number in sorted(layout.items()))
