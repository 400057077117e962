"""A bundle whose images its k3s does not ask for is refused before anything is moved."""

from __future__ import annotations

from typing import get_args

from aiplat.catalog.resolve import resolve
from aiplat.k3s.arguments import judged_minor
from aiplat.k3s.contract import Command, key_findings
from aiplat.k3s.images import TABLE, images_of, wrong_images
from aiplat.k3s.release import K3sRelease, release_of
from aiplat.plan.accepted import written_keys
from aiplat.plan.refusals import refusals
from aiplat.shipped import shipped
from aiplat.site.models import Site
from tests.plan.test_golden import SITE
from tests.plan.worlds import facts_of

PAUSE = "docker.io/rancher/mirrored-pause"
PROVISIONER = "docker.io/rancher/local-path-provisioner"


def rows(table: str) -> dict[K3sRelease, list[str]]:
    """Return the tags by release of a table of images."""
    lines = (line.split("\t") for line in shipped(table).read_text().splitlines() if line[:1] == "v")
    return {release_of(line[0]): line[1:] for line in lines}


def test_the_stand_in_asks_for_what_the_releases_ask_for() -> None:
    """Its own table says the same of every release, so that a lab meets the tags that a real site meets."""
    ours, stand_ins = rows(TABLE), rows("lab/standin/internal/version/images.tsv")
    assert len(stand_ins) > 20
    for release, tags in ours.items():
        # One that has no line of its own asks for the same as the one before it in its minor version.
        before = max(r for r in stand_ins if r[:2] == release[:2] and r <= release)
        pairs = list(zip(stand_ins[before], tags, strict=True))
        assert all(tag in known.split("|") for tag, known in pairs), (release, pairs)
    assert set(stand_ins) <= set(ours)


def test_both_tags_are_named() -> None:
    """What k3s asks for, and what the bundle has in its place."""
    (finding,) = wrong_images("v1.35.0+k3s1", {PAUSE: "3.10.2"}, standin=False)
    assert f"k3s v1.35.0+k3s1 asks for {PAUSE}:3.6, and the bundle has {PAUSE}:3.10.2" in str(finding)
    assert list(wrong_images("v1.36.3+k3s1", {PAUSE: "3.10.2"}, standin=False)) == []


def test_a_release_whose_list_is_not_known_is_not_judged() -> None:
    """A newer k3s may ask for anything."""
    assert images_of("v1.99.0+k3s1") is None
    assert list(wrong_images("v1.99.0+k3s1", {PAUSE: "1"}, standin=False)) == []


def test_the_stand_in_has_a_provisioner_of_its_own() -> None:
    """Where only package registries can be reached there is an older one; real k3s is held to its list."""
    images = {PROVISIONER: "v0.0.30"}
    assert list(wrong_images("v1.36.3+k3s1", images, standin=True)) == []
    (finding,) = wrong_images("v1.36.3+k3s1", images, standin=False)
    assert "local-path-provisioner:v0.0.36" in str(finding)


def test_the_plan_refuses_such_a_bundle() -> None:
    """Before the hosts are touched; this version's own images are those of its k3s."""
    lock = resolve(SITE, supply="packages")
    facts = facts_of(SITE, {}, {})
    assert not [f for f in refusals(SITE, lock, facts) if "asks for" in f.problem]
    artifacts = tuple(
        a.model_copy(update={"version": "3.6"}) if a.name == PAUSE else a for a in lock.artifacts
    )
    found = refusals(SITE, lock.model_copy(update={"artifacts": artifacts}), facts)
    assert [f.where for f in found if "asks for" in f.problem] == ["supply"]


def test_this_versions_own_k3s_is_known() -> None:
    """A new k3s in versions.yaml comes with its lines in the tables, or the checks would be silent."""
    site = Site.model_validate({**SITE.model_dump(by_alias=True), "supply": "packages"})
    version = resolve(site).hostfile("k3s", "amd64").version
    assert images_of(version) is not None
    assert release_of(version).minor == judged_minor()
    for command in get_args(Command):
        assert key_findings(command, release_of(version), written_keys(command)) == []
