#!/usr/bin/python
"""Ansible module: the cluster's token is exchanged for the one that is wanted, by k3s while it runs."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from ansible.module_utils.aiplat_host import HostProblem, below, run
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: k3s_token
short_description: The cluster's token is the one that is wanted
description:
  - k3s encrypts what it keeps of the cluster with its token, so another one in its configuration alone would
    keep it from starting. It is asked to exchange it as `k3s token rotate` does, whose arguments all see.
  - Does nothing where the token is the wanted one already, or there is no cluster yet.
options:
  unit: {description: "The server's unit.", type: str, required: true}
  token: {description: "The token as it is to be, in its short form.", type: str, required: true}
  former: {description: "The token that it may be exchanged for.", type: str, default: ""}
  data: {description: "k3s' data folder.", type: path, default: /var/lib/rancher/k3s}
  url: {description: "Where k3s is asked.", type: str, default: "https://127.0.0.1:6443/v1-k3s/token"}
  timeout: {description: "Seconds that k3s may take to answer.", type: int, default: 120}
  root: {description: "Root of the host's files.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The cluster has the token that is wanted
  k3s_token: {unit: k3s, token: "{{ k3s_server_token }}", former: "{{ k3s_server_former_token }}"}
  no_log: true
"""
RETURN = r"""#"""

BETWEEN_SECONDS = 1.0


def token_of(server: Path) -> str:
    """Return the secret part of the token that the cluster has, or nothing where there is no cluster."""
    try:
        text = (server / "token").read_text().strip()
    except FileNotFoundError:
        return ""
    return text.rpartition("::")[2].partition(":")[2] or text


def exchange(url: str, authority: Path, former: str, token: str) -> None:
    """Ask k3s once to take another token.

    Raises:
        HostProblem: it refuses.
        OSError: it does not answer.
    """
    request = urllib.request.Request(url, json.dumps({"newToken": token}).encode(), method="PUT")  # noqa: S310
    known = base64.b64encode(f"server:{former}".encode()).decode()
    request.add_header("Authorization", f"Basic {known}")
    request.add_header("Content-Type", "application/json")
    context = ssl.create_default_context(cafile=str(authority))
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with direct.open(request, timeout=60):
            return
    except urllib.error.HTTPError as error:
        raise HostProblem(f"k3s does not exchange its token: it answers {error.code}") from error


def ensure(wanted: dict[str, str | int], check: bool) -> bool:
    """Have the token exchanged where it differs and say whether it was."""
    root, token, former = str(wanted["root"]), str(wanted["token"]), str(wanted["former"])
    server = below(root, str(wanted["data"])) / "server"
    seen = token_of(server)
    if seen in ("", token):
        return False
    if seen != former:
        raise HostProblem("the cluster has a token that this site's vault does not know; nothing was changed")
    if check:
        return True
    if root == "/":
        # One that was stopped is started with the token it was stopped with.
        run(["systemctl", "start", str(wanted["unit"])], timeout=float(wanted["timeout"]))
    deadline = time.monotonic() + float(wanted["timeout"])
    authority = server / "tls/server-ca.crt"
    while True:
        try:
            exchange(str(wanted["url"]), authority, former, token)
        except OSError as error:
            if time.monotonic() > deadline:
                raise HostProblem(f"k3s does not answer at {wanted['url']}: {error}") from error
            time.sleep(BETWEEN_SECONDS)
        else:
            return True


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "token": {"type": "str", "required": True, "no_log": True},
            "former": {"type": "str", "default": "", "no_log": True},
            "data": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "url": {"type": "str", "default": "https://127.0.0.1:6443/v1-k3s/token"},
            "timeout": {"type": "int", "default": 120},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        changed = ensure(module.params, module.check_mode)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
