"""Every precondition of a host, a small function each; they are told in the order of these modules."""

from aiplat.hosts.checks import access, disks, firewall, kept, kernel, machine, names, network, others, system

__all__ = ["access", "disks", "firewall", "kept", "kernel", "machine", "names", "network", "others", "system"]
