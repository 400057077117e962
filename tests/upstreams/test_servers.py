"""The loopback upstreams behave as the real ones do: ordinary clients get along with them."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.upstreams.faults import cut, held, looping, rate_limited, tampered
from tests.upstreams.images import gguf, multi_arch, safetensors
from tests.upstreams.server import Upstreams


@pytest.fixture
def client(net: Upstreams) -> httpx.Client:
    """Return a client that goes through the proxy and trusts the test's CA."""
    context = ssl.create_default_context(cafile=str(net.ca))
    return httpx.Client(proxy=httpx.Proxy(net.proxy), verify=context, trust_env=False, timeout=PATIENCE)


def skopeo(net: Upstreams, *words: str) -> subprocess.CompletedProcess[str]:
    """Run skopeo as a user behind the proxy would."""
    environment = {**os.environ, **net.environment}
    return subprocess.run(
        ["skopeo", "--policy", str(net.ca.with_name("policy.json")), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_skopeo_copies_from_docker_hub(net: Upstreams, tmp_path: Path) -> None:
    """Token, blob store and all: a client that is not ours finds a registry."""
    net.ca.with_name("policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    hub = net.docker_hub()
    hub.push("library/busybox", "1.0", tmp_path / "layout", multi_arch(tmp_path / "layout"))
    done = skopeo(net, "copy", "--all", "docker://docker.io/library/busybox:1.0", f"oci:{tmp_path}/copy:1.0")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "copy/blobs/sha256").iterdir())) == len(
        list((tmp_path / "layout/blobs/sha256").iterdir())
    )
    assert "/token" in net.asked("auth.docker.io")


def test_a_release_file_comes_through_another_host(net: Upstreams, client: httpx.Client) -> None:
    """GitHub sends to its store; the tag keeps its `+`, and a part may be asked for."""
    net.github().release("k3s-io/k3s", "v1.36.3+k3s1", {"k3s": b"0123456789"})
    url = "https://github.com/k3s-io/k3s/releases/download/v1.36.3%2Bk3s1/k3s"
    answer = client.get(url, follow_redirects=True, headers={"Range": "bytes=4-"})
    assert (answer.status_code, answer.content) == (206, b"456789")
    assert answer.url.host == "release-assets.githubusercontent.com"


def test_a_mirror_stands_for_one_host(net: Upstreams) -> None:
    """It is reached by its own address, without a proxy."""
    net.files("get.helm.sh", {"/helm.tar.gz": b"helm"})
    context = ssl.create_default_context(cafile=str(net.ca))
    answer = httpx.get(f"{net.mirror('get.helm.sh')}/helm.tar.gz", verify=context, trust_env=False)
    assert (answer.content, net.asked("mirror/get.helm.sh")) == (b"helm", ["/helm.tar.gz"])


def test_a_model_blob_of_ollama_is_behind_a_location(net: Upstreams, client: httpx.Client) -> None:
    """307, as its client insists on."""
    weights = gguf()
    digest = net.ollama().publish("library/tiny", "1b", {"model": weights})
    manifest = client.get("https://registry.ollama.ai/v2/library/tiny/manifests/1b").json()
    blob = client.get(f"https://registry.ollama.ai/v2/library/tiny/blobs/{manifest['layers'][0]['digest']}")
    assert (blob.status_code, digest[:7]) == (307, "sha256:")
    assert client.get(blob.headers["Location"]).content == weights


def test_the_hubs_own_library_takes_a_snapshot(net: Upstreams, tmp_path: Path) -> None:
    """Listing, heads, redirects: what huggingface_hub asks for is answered."""
    commit = net.huggingface().publish(
        "owner/little", {"config.json": b"{}", "model.safetensors": safetensors()}
    )
    take = f"snapshot_download('owner/little', cache_dir={str(tmp_path)!r})"
    script = f"from huggingface_hub import snapshot_download; print({take})"
    environment = {**os.environ, **net.environment, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"snapshots/{commit}")


def test_what_goes_wrong_goes_wrong(net: Upstreams, client: httpx.Client) -> None:
    """Each switch does what its name says, as often as it was asked to."""
    net.files("get.helm.sh", {"/file": b"0" * 1000})
    url = "https://get.helm.sh/file"
    net.fault("get.helm.sh", "/file", rate_limited(3), times=1)
    assert client.get(url).headers["Retry-After"] == "3"
    net.fault("get.helm.sh", "/file", tampered, times=1)
    assert client.get(url).content.count(b"1") == 1
    net.fault("get.helm.sh", "/file", looping, times=1)
    assert client.get(url).headers["Location"] == url
    net.fault("get.helm.sh", "/file", cut(100), times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(url)
    net.fault("get.helm.sh", "/file", held(100), times=1)
    with pytest.raises(httpx.ReadTimeout):
        client.get(url, timeout=httpx.Timeout(PATIENCE, read=0.2))
    assert client.get(url).content == b"0" * 1000


def test_a_certificate_can_be_expired(net: Upstreams, client: httpx.Client) -> None:
    """Of one host, while the others' are good."""
    net.files("get.helm.sh", {"/file": b"x"})
    net.files("github.com", {"/file": b"x"})
    net.certify("get.helm.sh", timedelta(days=-2), timedelta(days=-1))
    with pytest.raises(httpx.ConnectError, match="expired"):
        client.get("https://get.helm.sh/file")
    assert client.get("https://github.com/file").content == b"x"


def test_the_proxy_can_want_a_login(net: Upstreams, client: httpx.Client) -> None:
    """And lets in who says it."""
    net.files("get.helm.sh", {"/file": b"x"})
    net.require_proxy_login("ann", "secret")
    with pytest.raises(httpx.ProxyError, match="407"):
        client.get("https://get.helm.sh/file")
    context = ssl.create_default_context(cafile=str(net.ca))
    proxy = httpx.Proxy(net.proxy, auth=("ann", "secret"))
    with httpx.Client(proxy=proxy, verify=context, trust_env=False) as known:
        assert known.get("https://get.helm.sh/file").content == b"x"
