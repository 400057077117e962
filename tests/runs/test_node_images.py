"""Images come into nodes that are containers here: only what a node lacks, under the name that pods use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Artifact
from aiplat.errors import AiplatError
from aiplat.runs.node_images import NodeContainer, archive_bytes, lacking, name_of, node_containers
from aiplat.supply.oci import add_file, add_image, blobs_of
from tests.runs import engine_stand_in

NODES = ("kind-control-plane", "kind-worker")


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two nodes in an engine that the stand-in is; each has an image of its owner's."""
    programs, nodes = tmp_path / "bin", tmp_path / "nodes"
    programs.mkdir()
    for name in NODES:
        (nodes / name).mkdir(parents=True)
        (nodes / name / "names").write_text("docker.io/library/till:1\n")
    program = programs / "docker"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {engine_stand_in.__file__} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("STAND_IN", str(nodes))
    return nodes


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A folder of blobs."""
    return tmp_path / "layout"


def image(layout: Path, name: str, *layers: str) -> Artifact:
    """Make an image of these layers."""
    made = []
    for text in layers:
        source = layout.parent / "layer"
        source.write_text(text)
        made.append(add_file(layout, source, "application/vnd.oci.image.layer.v1.tar"))
    digest = add_image(layout, made, {"name": name})["digest"]
    blobs = blobs_of(layout, digest)
    return Artifact(
        kind="image", name=name, version="1", component="c", inputs=digest, digest=digest, blobs=blobs
    )


def test_a_node_gets_what_it_lacks_and_no_more(nodes: Path, layout: Path) -> None:
    """Another node may lack another part; done again there is nothing to bring."""
    one, two = image(layout, "ghcr.io/x/one", "a", "b"), image(layout, "ghcr.io/x/two", "b", "c")
    first, second = node_containers(NODES)
    moved: list[int] = []
    first.load([one], layout, moved.append)
    assert lacking((first, second), (one, two)) == {first: [two], second: [one, two]}
    for node, artifacts in lacking((first, second), (one, two)).items():
        node.load(artifacts, layout, moved.append)
    assert lacking((first, second), (one, two)) == {}
    assert {name_of(one), name_of(two), "docker.io/library/till:1"} == first.names() == second.names()


def test_a_layer_of_several_images_goes_once(nodes: Path, layout: Path) -> None:
    """And so it is counted: what was moved adds up to what was said to be moved."""
    both = [image(layout, "ghcr.io/x/one", "a", "shared"), image(layout, "ghcr.io/x/two", "shared")]
    moved: list[int] = []
    node_containers(NODES)[0].load(both, layout, moved.append)
    assert sum(moved) == archive_bytes(both) < sum(artifact.size for artifact in both)
    # Two images with a config and a manifest each, two layers, and the layout's own two files.
    assert (nodes / NODES[0] / "archives").read_text() == f"{2 * 2 + 2 + 2}\n"


def test_a_node_that_does_not_take_it_says_why(nodes: Path, layout: Path) -> None:
    """In its containerd's own words; however much was still to be sent."""
    (nodes / NODES[0] / "full").touch()
    large = image(layout, "ghcr.io/x/one", "x" * 2_000_000)
    with pytest.raises(AiplatError) as refused:
        node_containers(NODES)[0].load([large], layout, lambda _count: None)
    assert "node kind-control-plane: ctr: write /var/lib: no space left on device" in str(refused.value)


def test_what_was_altered_is_not_named_in_a_node(nodes: Path, layout: Path) -> None:
    """The node compares digests itself; nothing of it is there afterwards."""
    one = image(layout, "ghcr.io/x/one", "a")
    next(p for p in (layout / "blobs/sha256").iterdir() if p.read_text() == "a").write_text("b")
    node = node_containers(NODES)[0]
    with pytest.raises(AiplatError):
        node.load([one], layout, lambda _count: None)
    assert name_of(one) not in node.names()


def test_nodes_that_are_no_containers_here_are_named(nodes: Path) -> None:
    """A cluster of another machine's kind cannot be loaded from this one."""
    with pytest.raises(AiplatError, match="far-1, far-2: no container of that name runs in docker here"):
        node_containers((NODES[0], "far-1", "far-2"))


def test_without_an_engine_it_is_said_which_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """And with nodes that may not be listed nothing is taken for loaded."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AiplatError, match="none of docker, podman, nerdctl is found here"):
        node_containers(NODES)
    with pytest.raises(AiplatError, match="may not be listed"):
        node_containers(())


def test_a_container_without_a_containerd_says_so(nodes: Path) -> None:
    """It is asked, and its refusal is the reason."""
    with pytest.raises(AiplatError, match="node stranger"):
        NodeContainer("docker", "stranger").names()
