"""What the roles write for k3s, made as Ansible makes it: the plan's variables, a host's facts, own files."""

from __future__ import annotations

from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ruamel.yaml import YAML

from aiplat.plan.role_variables import RoleVariables
from aiplat.plan.steps import managed
from aiplat.shipped import shipped

FACTS = {
    "interface": "ens4",
    "cgroup_v1": False,
    "selinux": False,
    "nameservers": ["10.0.0.53"],
}
TOKEN = {"content": "SzEwYWJjOjpzZXJ2ZXI6c2VjcmV0Cg=="}


def files_of(variables: RoleVariables, **facts: Any) -> dict[str, Any]:
    """Return `config` and `registries` as documents and `resolver` as text, for one role on one host."""
    role = variables.role
    own = trusted(document(role, "vars/main.yml"))
    known = document(role, "defaults/main.yml") | variables.ansible() | {f"{role}_managed": managed(role)}
    known |= {f"{role}_token": "secret", f"{role}_server_token": TOKEN, "inventory_hostname": "s1"}
    own_facts = {"node_ips": variables.model_dump()["node_ip"].split(",")}
    known |= {f"{role}_host": FACTS | own_facts | facts, f"{role}_site": "ward-3", **own}
    templar = Templar(loader=DataLoader(), variables=known)
    text = {name: template(role, f"{name}.j2") for name in ("registries.yaml", "resolv.conf")}
    return {
        "config": templar.template(own[f"{role}_config"]),
        "registries": YAML(typ="safe").load(templar.template(text["registries.yaml"])),
        "resolver": templar.template(text["resolv.conf"]),
    }


def document(role: str, name: str) -> dict[str, Any]:
    """Return one YAML file of a role."""
    found: dict[str, Any] = YAML(typ="safe").load(shipped(f"roles/{role}/{name}"))
    return found


def template(role: str, name: str) -> Any:
    """Return a template of a role, as one that Ansible may fill."""
    return trust_as_template(shipped(f"roles/{role}/templates/{name}").read_text())


def trusted(value: Any) -> Any:
    """Return variables of a role with every text marked as the role's own."""
    if isinstance(value, dict):
        return {name: trusted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value
