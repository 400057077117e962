"""Lab hosts as people have them: another SSH port, a sudo user with a password, a jump host, two cards."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aiplat.lab import lab_status, ssh_argv
from aiplat.lab.keys import new_key_pair
from tests.patience import PATIENCE

HOST, JUMP = "t-access-s1", "t-access-jump"
ADDRESS, JUMP_ADDRESS, NODE_ADDRESS = "10.97.40.11", "10.97.40.12", "10.97.41.11"
PORT, JUMP_PORT = 2222, 2022
USER, JUMP_USER = "ops", "boss"
CARD = "eth1"
SITE = f"""\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-desk
supply: packages
hosts:
  - name: desk
    address: {ADDRESS}
    nodeAddress: {NODE_ADDRESS}
    interface: {CARD}
    role: server
    ssh: {{user: {USER}, port: {PORT}, key: key, jump: ["{JUMP_USER}@{JUMP_ADDRESS}:{JUMP_PORT}"]}}
models:
  - {{name: "gemma3:270m", engine: ollama}}
"""
# Nobody gets in by the second port but from the jump host, and root does not get in by it at all.
_SSHD = f"""\
Port 22
Port {PORT}
Match LocalPort {PORT} Address *,!{JUMP_ADDRESS}
  DenyUsers *
Match LocalPort {PORT}
  PermitRootLogin no
"""
# What a host changes by itself while it runs.
_MOVING = (
    "/var/lib/systemd/",
    "/var/lib/dpkg/",
    "/var/lib/apt/",
    "/var/lib/private/",
    "/var/lib/sudo/",
    "/etc/ld.so.cache",
)

# systemd gives it to each user who logs in, and takes it back a while after the last one left.
_OF_A_LOGIN = "/run/user/"


@dataclass(frozen=True)
class Access:
    """The lab of `sites/access.yaml` and the folder with the user's site file and key."""

    lab: str
    folder: Path

    @property
    def site_file(self) -> Path:
        """The site as the user writes it."""
        return self.folder / "site.yaml"

    def prepare(self, password: str) -> None:
        """Give the hosts their users, ports and second card, and the user a key and a site file."""
        pair = new_key_pair()
        key = self.folder / "key"
        key.write_bytes(pair.private)
        key.chmod(0o600)
        self.site_file.write_text(SITE)
        self._user(JUMP, JUMP_USER, pair.public)
        self._user(HOST, USER, pair.public)
        self.on_host(JUMP, _write("/etc/ssh/sshd_config.d/t.conf", f"Port 22\nPort {JUMP_PORT}\n"))
        self.on_host(HOST, _write("/etc/ssh/sshd_config.d/t.conf", _SSHD))
        self.on_host(HOST, _write("/etc/sudoers.d/ops", f"{USER} ALL=(ALL) ALL\n"))
        self.on_host(HOST, "chpasswd", given=f"{USER}:{password}\n")
        for name in (JUMP, HOST):
            self.on_host(name, "sshd -t && systemctl restart ssh")
        self._second_card()

    def on_host(self, host: str, command: str, given: str = "") -> str:
        """Run a shell command as root on a lab host, past everything that the journey is about."""
        done = subprocess.run(
            [*ssh_argv(self.lab, host), command],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def seen(self) -> dict[str, list[str]]:
        """Return what is on the host that an installation could leave behind, by kind."""
        places = "/etc /usr /opt /srv /root /home /var/lib /run/k3s /run/containerd /run/nri /run/flannel"
        files = self.on_host(HOST, f"find {places} -xdev 2>/dev/null || true").splitlines()
        return {
            "rules": self._in_network("nft", "list", "ruleset"),
            "links": [line.split(": ")[1] for line in self._in_network("ip", "-o", "link")],
            "routes": self._in_network("ip", "route"),
            "cgroups": self.on_host(HOST, "find /sys/fs/cgroup -name '*kube*' || true").splitlines(),
            "mounts": [name for name in self._mounts() if not name.startswith(_OF_A_LOGIN)],
            "units": self.on_host(HOST, "ls /etc/systemd/system").splitlines(),
            "files": [name for name in files if not name.startswith(_MOVING)],
        }

    def _mounts(self) -> list[str]:
        return [line.split()[1] for line in self.on_host(HOST, "cat /proc/1/mounts").splitlines()]

    def _in_network(self, *command: str) -> list[str]:
        argv = ["nsenter", "--net", "--target", self._inside(), *command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    def _inside(self) -> str:
        nspawn = next(h.pid for h in lab_status(self.lab).hosts if h.name == HOST)
        return Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]

    def _second_card(self) -> None:
        # Its other end stays on this machine; both go when the host's network ends.
        inside = self._inside()
        commands = (
            f"ip link add t-access-2 type veth peer name {CARD} netns {inside}",
            f"nsenter --net --target {inside} ip address add {NODE_ADDRESS}/24 dev {CARD}",
            f"nsenter --net --target {inside} ip link set {CARD} up",
            "ip link set t-access-2 up",
        )
        for command in commands:
            subprocess.run(command.split(), check=True, capture_output=True)

    def _user(self, host: str, user: str, key: str) -> None:
        home = f"/home/{user}"
        self.on_host(host, f"useradd --create-home --shell /bin/bash {user}")
        self.on_host(host, f"install -d -m 700 -o {user} {home}/.ssh")
        self.on_host(host, _write(f"{home}/.ssh/authorized_keys", f"{key}\n"))
        # A shell that greets everybody: nothing may stumble over it.
        self.on_host(host, f"sed -i '1i echo Welcome to {host}' {home}/.bashrc")


def _write(path: str, text: str) -> str:
    return f"printf %s {shlex.quote(text)} >{path}"
