"""Whether a fact was seen in a container or on its host, and what a container's device rules allow."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.signals.said import passages

_IN_CONTAINER = re.compile(
    r"kubectl (?:exec|logs)|docker (?:exec|run|logs)|nerdctl|podman|ctr run|crictl exec|"
    r"in(?:side)? (?:the |a )?(?:pod|container)|\(container\)|\bpod\b|\bcontainer\b(?![d-])",
    re.IGNORECASE,
)
_ON_HOST = re.compile(r"on (?:the )?host|\bhost\b", re.IGNORECASE)


_DEVICE_RULE = re.compile(r"^([abc]) (\d+|\*):(\d+|\*) ([rwm]+)$")
NVIDIA_MAJOR = "195"  # the character device number of /dev/nvidia0, nvidiactl and nvidia-modeset


def is_inside(fact: Fact) -> bool:
    """Whether a fact was seen inside a container rather than on the host, as far as its command says."""
    return bool(_IN_CONTAINER.search(fact.command)) and not _ON_HOST.search(fact.command)


def lost_inside(facts: Iterable[Fact]) -> tuple[Evidence, ...]:
    """Return where a container that had a GPU says that it no longer has it."""
    inside = [fact for fact in facts if is_inside(fact)]
    pattern = (
        r"Failed to initialize NVML: Unknown Error",
        r"NVML_ERROR_UNKNOWN",
        r"nvml(?: error)?: unknown error",
    )
    return passages(inside, pattern)


def rules_without_card(facts: Iterable[Fact]) -> tuple[Evidence, ...]:
    """Return a control group's device rules that no longer let a container read the cards it once had."""
    listed = [(fact, rules) for fact in facts if (rules := _device_rules(fact))]
    had = any(_lets_read(rules) for _, rules in listed)
    return tuple(
        fact.evidence(fact.flow)
        for fact, rules in listed
        if not _lets_read(rules) and (had or any(major == NVIDIA_MAJOR for _, major, _, _ in rules))
    )


def _device_rules(fact: Fact) -> list[tuple[str, str, str, str]]:
    matches = (_DEVICE_RULE.match(line.strip()) for line in fact.lines)
    return [(m[1], m[2], m[3], m[4]) for m in matches if m]


def _lets_read(rules: list[tuple[str, str, str, str]]) -> bool:
    everything = any(kind == "a" for kind, _, _, _ in rules)
    return everything or any(
        kind == "c" and major in (NVIDIA_MAJOR, "*") and "r" in how for kind, major, _, how in rules
    )
