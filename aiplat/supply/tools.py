"""Which of the machine's tools the builders need, all at once; running them is aiplat.supply.process'."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from aiplat.catalog.recipes import Recipe
from aiplat.errors import Finding
from aiplat.supply.go import go_finding
from aiplat.supply.wheels import uv_program

# tool → the Debian package that brings it
_PACKAGES = {
    "apt-get": "apt",
    "buildah": "buildah",
    "cmake": "cmake",
    "dpkg-deb": "dpkg",
    "g++": "g++",
    "gcc": "gcc",
    "mmdebstrap": "mmdebstrap",
    "make": "make",
    "nm": "binutils",
    "objdump": "binutils",
    "skopeo": "skopeo",
    "strip": "binutils",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def missing_tools(recipes: Iterable[Recipe]) -> list[Finding]:
    """Return what this machine lacks to follow these recipes; empty when nothing."""
    recipes = list(recipes)
    lacking = sorted({_PACKAGES[tool] for tool in _tools(recipes) if shutil.which(tool) is None})
    findings = []
    if lacking:
        line = f"apt-get install {' '.join(lacking)}"
        findings.append(Finding("this machine", f"building needs {', '.join(lacking)}", f"run: {line}"))
    if any(r.go or r.script for r in recipes):
        finding = go_finding()
        findings += [finding] if finding else []
    if any(r.requirements for r in recipes) and uv_program() is None:
        findings.append(
            Finding("uv", "is missing; it unpacks Python wheels", "install uv from PyPI beside aiplat")
        )
    if any(r.containerfile for r in recipes) and os.geteuid() != 0:
        findings.append(Finding("this user", "building images needs root", "run aiplat as root"))
    return findings


def _tools(recipes: list[Recipe]) -> set[str]:
    needed = {"setpriv"}
    for recipe in recipes:
        if recipe.containerfile:
            needed |= {"buildah", "unshare"}
        if recipe.base:
            needed |= {"mmdebstrap", "apt-get", "skopeo"}
        if recipe.deb or recipe.debian or recipe.debian_install or recipe.headers:
            needed |= {"apt-get", "dpkg-deb"}
        if recipe.cgo or recipe.script:
            needed |= {"gcc", "g++"}
        if recipe.slim:
            needed |= {"gcc", "nm", "objdump", "strip"}
        if recipe.cmake:
            needed |= {"cmake", "gcc", "g++", "make", "strip"}
    return needed
