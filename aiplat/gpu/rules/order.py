"""All rules, root causes first: of two that are seen, the earlier is the cause, the later often follows."""

from __future__ import annotations

from aiplat.gpu.rules import builds, cluster, containers, driver, fabric, hardware
from aiplat.gpu.rules.rule import Rule

# The platform under the host, then the cards, what package managers and builds could not do, which driver
# holds a card, the fabric, containers, Kubernetes; last what is no fault of the host.
RULES: tuple[Rule, ...] = (
    containers.wsl,
    hardware.fallen_off_bus,
    hardware.bar_unassigned,
    driver.needs_legacy_branch,
    driver.needs_open_module,
    driver.open_module_unsupported,
    driver.not_supported,
    hardware.gsp_timeout,
    hardware.gsp_init,
    hardware.reset_required,
    builds.signature_enforced,
    builds.secure_boot,
    builds.selinux,
    builds.signed_by,
    builds.headers_missing,
    builds.compiler_mismatch,
    builds.build_failed,
    builds.deps_broken,
    driver.bound_vfio,
    builds.module_for_other_kernels,
    driver.nouveau_bound,
    builds.module_missing,
    driver.library_mismatch,
    driver.in_use,
    driver.nodes_missing,
    fabric.version_mismatch,
    fabric.not_running,
    fabric.status_error,
    hardware.inforom,
    containers.libraries_missing,
    containers.cgroup_denied,
    containers.cuda_unsatisfied,
    containers.cdi_broken,
    containers.handler_missing,
    containers.no_permission,
    containers.lost_gpu,
    cluster.jetson_unknown,
    cluster.plugin_without_runtime,
    cluster.registration_failed,
    cluster.dev_char,
    cluster.toolkit_validation,
    cluster.marked_unhealthy,
    hardware.application_error,
    cluster.mig_and_gpu,
    cluster.time_slicing,
    cluster.no_resource,
    fabric.not_needed,
)
