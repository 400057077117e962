"""Packages on hosts of either family: what is missing, tried, installed by real dpkg and rpm, removed."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.roles.conftest import RunModule, load_module
from tests.upstreams.apt_repository import Deb
from tests.upstreams.rpm_repository import Rpm

MODULE = "aiplat_modules/library/os_packages.py"


class Tree:
    """A folder that is a host's root to dpkg or rpm."""

    def __init__(self, root: Path, family: str) -> None:
        self.root, self.family = root, family
        self.made = root.parent / "made"
        self.made.mkdir()
        (root / "var/lib/aiplat/blobs/sha256").mkdir(parents=True)
        if family == "deb":
            for name in ("info", "updates", "triggers"):
                (root / "var/lib/dpkg" / name).mkdir(parents=True)
            (root / "var/lib/dpkg/status").touch()
            (root / "var/lib/dpkg/available").touch()
        else:
            subprocess.run(["rpm", "--root", root, "--initdb"], check=True)

    def build(self, name: str, version: str = "1.0", needs: str = "", conflicts: str = "") -> Path:
        """Return a package's file."""
        if self.family == "deb":
            fields = {"Depends": needs, "Conflicts": conflicts}
            content = Deb(name, version, "all", fields={k: v for k, v in fields.items() if v}).build(
                self.made
            )
            path = self.made / f"{name}.deb"
            path.write_bytes(content)
            return path
        tags = (
            *([f"Requires: {needs}"] if needs else []),
            *([f"Conflicts: {conflicts}"] if conflicts else []),
        )
        return Rpm(name, version, "1", "noarch", tags).build(self.made)

    def stage(self, name: str, version: str = "1.0", runs: str = "", **what: str) -> dict[str, str]:
        """Stage a package and return what the role is told of it."""
        content = self.build(name, version, **what).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        (self.root / "var/lib/aiplat/blobs/sha256" / digest).write_bytes(content)
        full = version if self.family == "deb" else f"{version}-1"
        package = {"name": name, "version": full, "digest": f"sha256:{digest}"}
        return {**package, "needs": runs} if runs else package

    def has(self, name: str, version: str = "1.0") -> None:
        """Install a package that is the host's own."""
        self.tool.install([str(self.build(name, version))])

    @property
    def tool(self) -> Any:
        """What the role itself works with."""
        load_module(MODULE)
        from ansible.module_utils.host_packages import (  # type: ignore[import-not-found] # noqa: PLC0415
            Dpkg,
            Rpm,
        )

        return (Dpkg if self.family == "deb" else Rpm)(str(self.root))

    @property
    def recorded(self) -> list[str]:
        """The packages that the ledger knows as ours."""
        ledger = json.loads((self.root / "var/lib/aiplat/ledger.json").read_text())
        found: list[str] = ledger["steps"]["host_prepare"]["packages"]
        return found


@pytest.fixture(params=["deb", "rpm"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Return an empty host of either family."""
    root = tmp_path / "root"
    root.mkdir()
    one = Tree(root, request.param)
    if one.family == "rpm":
        # This machine has dpkg; what decides is what the host's own tree has.
        assert not (root / "var/lib/dpkg").exists()
    return one


def apply(run_module: RunModule, tree: Tree, *packages: dict[str, str], **more: Any) -> dict[str, Any]:
    """Run the module on the tree."""
    return run_module(MODULE, root=str(tree.root), site="ward-3", packages=list(packages), **more)


def test_what_is_missing_is_installed_once(tree: Tree, run_module: RunModule) -> None:
    """In whatever order it comes; the second run changes nothing, and the ledger knows what is ours."""
    packages = (tree.stage("tool", needs="library"), tree.stage("library"))
    first = apply(run_module, tree, *packages)
    assert (first["changed"], sorted(first["installed"])) == (True, ["library", "tool"])
    assert tree.recorded == ["library", "tool"]
    assert set(tree.tool.installed()) == {"library", "tool"}
    second = apply(run_module, tree, *packages)
    assert (second["changed"], second["installed"], second["ours"]) == (False, [], ["library", "tool"])


def test_what_the_host_has_stays_the_host_s_own(tree: Tree, run_module: RunModule) -> None:
    """Also in an older version, as long as what is missing goes with it."""
    tree.has("library", "0.9")
    result = apply(run_module, tree, tree.stage("tool", needs="library"), tree.stage("library"))
    assert (result["installed"], result["ours"]) == (["tool"], ["tool"])
    assert tree.tool.installed()["library"].removeprefix("0:").startswith("0.9")


def test_an_older_one_is_upgraded_where_it_must_be(tree: Tree, run_module: RunModule) -> None:
    """It was the host's own before and is not recorded as ours: a reset leaves it."""
    tree.has("library", "0.9")
    needs = "library (>= 1.0)" if tree.family == "deb" else "library >= 1.0"
    result = apply(run_module, tree, tree.stage("tool", needs=needs), tree.stage("library"))
    assert (sorted(result["installed"]), result["ours"]) == (["library", "tool"], ["tool"])


def test_what_cannot_be_installed_changes_nothing(tree: Tree, run_module: RunModule) -> None:
    """A dependency that is nowhere is said before a byte is unpacked, and nothing is recorded as ours."""
    message = apply(run_module, tree, tree.stage("tool", needs="nowhere"), tree.stage("library"))["msg"]
    assert "tool, library cannot be installed here:" in message
    assert "nowhere" in message
    assert message.endswith("nothing was changed")
    assert tree.tool.installed() == {}
    assert not (tree.root / "var/lib/aiplat/ledger.json").exists()


def test_a_conflict_with_what_the_host_has_is_said(tree: Tree, run_module: RunModule) -> None:
    """Nothing of the host's is removed to make room."""
    tree.has("rival")
    message = apply(run_module, tree, tree.stage("tool", conflicts="rival"))["msg"]
    assert "tool cannot be installed here:" in message
    assert set(tree.tool.installed()) == {"rival"}


@pytest.mark.parametrize(
    ("module", "place", "says"),
    [
        ("selinux", "sys/fs/selinux/enforce", "0"),
        ("apparmor", "sys/module/apparmor/parameters/enabled", "Y\n"),
    ],
)
def test_rules_of_a_security_module_are_for_hosts_that_run_it(
    tree: Tree, run_module: RunModule, module: str, place: str, says: str
) -> None:
    """The kernel says whether it does."""
    package = tree.stage("rules", runs=module)
    assert apply(run_module, tree, package)["installed"] == []
    (tree.root / place).parent.mkdir(parents=True)
    (tree.root / place).write_text(says)
    assert apply(run_module, tree, package)["installed"] == ["rules"]


def test_a_damaged_file_is_not_installed(tree: Tree, run_module: RunModule) -> None:
    """What is staged is compared with its digest once more."""
    package = tree.stage("tool")
    path = tree.root / "var/lib/aiplat/blobs/sha256" / package["digest"].removeprefix("sha256:")
    path.write_bytes(path.read_bytes() + b"x")
    assert "the staged package tool is damaged" in apply(run_module, tree, package)["msg"]
    assert tree.tool.installed() == {}


def test_looking_changes_nothing(tree: Tree, run_module: RunModule) -> None:
    """Check mode says what would be done."""
    result = apply(run_module, tree, tree.stage("tool"), _ansible_check_mode=True)
    assert (result["changed"], result["installed"]) == (True, ["tool"])
    assert tree.tool.installed() == {}
    assert not (tree.root / "var/lib/aiplat/ledger.json").exists()


def test_what_is_ours_can_be_removed_again(tree: Tree, run_module: RunModule) -> None:
    """Together, whatever their order; what was the host's own stays."""
    tree.has("own")
    ours = apply(run_module, tree, tree.stage("tool", needs="library"), tree.stage("library"))["ours"]
    tree.tool.remove(ours)
    assert tree.tool.present() == {"own"}


@pytest.mark.parametrize(
    ("version", "wanted", "older"),
    [
        ("1:1.0-1", "0:2.0-1", False),
        ("0:1.9-1", "1.10-1", True),
        ("0:1.0~rc1-1", "1.0-1", True),
        ("0:1.0-1.el9", "1.0-2.el9", True),
        ("0:1.0-2.el9", "1.0-2.el9", False),
    ],
)
def test_rpm_s_versions_are_ordered_as_rpm_does(version: str, wanted: str, older: bool) -> None:
    """Epoch before version before release."""
    load_module(MODULE)
    from ansible.module_utils.host_packages import Rpm as Tool  # noqa: PLC0415

    assert Tool().is_older(version, wanted) is older
