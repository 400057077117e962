#!/usr/bin/python
"""Ansible module: waits until an HTTPS server answers with a certificate of the site's CA; only looks."""

from __future__ import annotations

import ssl
import time
import urllib.request

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: https_answer
short_description: An HTTPS server answers
options:
  url: {description: "What is asked for; it must answer 200.", type: str, required: true}
  ca: {description: "File with the CA's certificate.", type: path, required: true}
  timeout: {description: "Seconds in all.", type: int, default: 30}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The registry answers over TLS
  https_answer: {url: "https://192.0.2.11:5443/v2/", ca: /etc/example.crt}
"""
RETURN = r"""#"""

BETWEEN_SECONDS = 0.2


def problem(url: str, ca: str) -> str:
    """Ask once; return why there is no good answer, or nothing."""
    try:
        context = ssl.create_default_context(cafile=ca)
        # The site's registry is asked itself, whatever proxy the host may be set up with.
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with direct.open(url, timeout=5) as answer:
            return "" if answer.status == 200 else f"it answers {answer.status}"
    except (OSError, ValueError) as error:
        return str(error)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "ca": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["timeout"]
    while found := problem(module.params["url"], module.params["ca"]):
        if time.monotonic() > deadline:
            module.fail_json(msg=f"{module.params['url']} does not answer as it should: {found}")
        time.sleep(BETWEEN_SECONDS)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
