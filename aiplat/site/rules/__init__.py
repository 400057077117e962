"""The table of rules that a site file must keep; each rule is a function, documented by its docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiplat.site.document import YamlDocument
from aiplat.site.findings import SiteFinding
from aiplat.site.known import Known
from aiplat.site.rules import (
    cluster,
    families,
    files,
    gpus,
    hosts,
    models,
    networks,
    planes,
    quantities,
    secrets,
    sign_in,
    upstream,
)

Rule = Callable[[YamlDocument, Known], Iterable[SiteFinding]]

_IN_ORDER: tuple[Rule, ...] = (
    secrets.secret_under_key,
    secrets.secret_in_value,
    secrets.secret_in_comment,
    secrets.bad_secret_reference,
    hosts.no_server,
    hosts.even_servers,
    hosts.too_many_servers,
    hosts.duplicate_host_name,
    hosts.duplicate_host_address,
    hosts.bad_host_address,
    hosts.unusable_host_address,
    hosts.bad_node_address,
    hosts.bad_interface,
    hosts.bad_data_dir,
    hosts.reserved_host_name,
    hosts.bad_ssh_user,
    hosts.bad_jump_host,
    gpus.sharing_in_two_ways,
    gpus.sharing_without_gpus,
    gpus.bad_mig_layout,
    networks.bad_cidr,
    networks.cidr_host_bits,
    networks.cidr_overlap,
    networks.cidr_holds_host,
    networks.resolver_in_cluster,
    networks.cidr_too_small,
    networks.cidr_too_large,
    families.cidr_of_each_family,
    families.mixed_address_families,
    networks.bad_domain,
    sign_in.bad_issuer,
    sign_in.missing_ca_of_issuer,
    sign_in.bad_proxy_of_issuer,
    sign_in.nobody_administers,
    sign_in.bad_group,
    networks.reserved_domain,
    networks.bad_endpoint,
    cluster.bad_kubernetes_argument,
    cluster.argument_of_aiplats,
    cluster.bad_resolver,
    planes.unknown_plane,
    planes.unknown_component,
    planes.component_of_other_plane,
    models.unknown_model,
    models.unknown_engine,
    models.model_of_other_engine,
    models.duplicate_model,
    models.bad_own_name,
    models.bad_own_model,
    models.foreign_own_key,
    models.bad_own_files,
    files.bad_supply,
    files.missing_bundle,
    files.missing_signers,
    files.missing_key_file,
    files.unusable_key_file,
    upstream.bad_mirror,
    upstream.bad_proxy,
    upstream.missing_ca,
    upstream.bad_credential,
    quantities.bad_quantity,
    quantities.request_over_limit,
    quantities.bad_port_value,
    quantities.bad_number,
)

RULES: dict[str, Rule] = {getattr(rule, "__name__", "").replace("_", "-"): rule for rule in _IN_ORDER}
"""Every rule by its name, in the order in which they are asked."""
