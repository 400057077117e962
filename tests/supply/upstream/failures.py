"""What can go wrong upstream, by the part of a site that meets it, and the sentence that is said then."""
# ruff: noqa: E501 - a sentence stands here as it is printed

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from tests.upstreams import faults
from tests.upstreams.images import chart, gguf, image, multi_arch, safetensors
from tests.upstreams.registry import Registry
from tests.upstreams.world import World

DEEP = b"[" * 200_000
HUB, STORE = "registry-1.docker.io", "production.cloudfront.docker.com"
SERVER = "docker.io/example/server:1.0"
TINY = "registry.ollama.ai/library/tiny:1b"


class Failure(NamedTuple):
    """What goes wrong with a part of a site, and what is said: `…` is what another run says otherwise."""

    what: str
    part: str
    does: Callable[[World], object]
    said: str


def at(host: str, pattern: str, act: faults.Act) -> Callable[[World], object]:
    """Return what lets something go wrong at a host on paths that match; facts of the world fill in."""
    return lambda world: world.net.fault(host, pattern.format(**world.facts), act)


def without_proxy(world: World) -> None:
    """Let the site find Docker Hub by a mirror that lacks the image."""
    world.upstream["mirrors"] = {"docker.io": world.net.mirror("docker.io", Registry(HUB, access="open"))}


def exchanged_image(world: World, **how: object) -> None:
    """Serve another image under the name."""
    layout = world.folder / "other"
    world.hub.push("example/server", "1.0", layout, multi_arch(layout, **how))  # type: ignore[arg-type]


def one_image(world: World, **how: object) -> None:
    """Serve an image without an index under the name."""
    layout = world.folder / "other"
    world.hub.push("example/server", "1.0", layout, image(layout, **how)["digest"])  # type: ignore[arg-type]


def manifest(world: World, **changes: object) -> None:
    """Serve a manifest under the name that is another in some points."""
    layout = world.folder / "other"
    body = (layout / "blobs/sha256" / image(layout)["digest"][7:]).read_bytes()
    world.hub.push("example/server", "1.0", layout)
    document = {**json.loads(body), **changes}
    world.hub.push_manifest("example/server", "1.0", document, document["mediaType"])


def chart_archive(name: str, version: str) -> Callable[[World], object]:
    """Return what puts another chart where the index has the right one, with its digest."""

    def publish(world: World) -> None:
        world.charts.index["entries"] = {}
        world.charts.publish("addon", "1.0", chart(name, version))

    return publish


def hub_files(**files: bytes) -> Callable[[World], object]:
    """Return what gives the model's repository other files; `__` in a name stands for a dot."""
    return lambda world: world.models.publish(
        "owner/little", {name.replace("__", "."): data for name, data in files.items()}
    )


def gated(world: World) -> None:
    """Let the model want its terms accepted."""
    world.models.gated.add("owner/little")


def not_for_this_account(world: World) -> None:
    """Let the model be for other accounts."""
    gated(world)
    world.models.tokens.add("hf_made")
    world.models.refused.add("owner/little")
    world.environment["HF_TOKEN"] = "hf_made"


def docker_login(text: str) -> Callable[[World], object]:
    """Return what writes Docker's file of log-ins."""

    def write(world: World) -> None:
        (world.folder / "nobody").mkdir()
        (world.folder / "nobody/config.json").write_text(text)

    return write


def log_in(world: World) -> None:
    """Name credentials that Docker Hub does not know."""
    world.hub.login = ("ann", "right")
    world.environment["HUB_PASSWORD"] = "wrong"
    world.upstream["credentials"] = {"docker.io": {"user": "ann", "env": "HUB_PASSWORD"}}


def private(access: str) -> Callable[[World], object]:
    """Return what lets Docker Hub want a log-in."""

    def want(world: World) -> None:
        world.hub.access, world.hub.login = access, ("ann", "right")  # type: ignore[assignment]

    return want


# fmt: off
LOCK = (
    Failure("the tag is not there", "server", lambda w: w.hub.tags.clear(),
        f"{SERVER}: is not there (404); see which there are: skopeo list-tags docker://docker.io/example/server"),
    Failure("anonymous, but private (401)", "server", at(HUB, "/manifests/", faults.status(
            401, Www_Authenticate='Bearer realm="https://auth.docker.io/token",service="x"')),
        f"{SERVER}: is not there, or only for accounts that may read it (401); see the spelling; for a private "
        "one name credentials under upstream.credentials.docker.io in site.yaml"),
    Failure("a log-in is wanted (401)", "server", private("basic"),
        "docker.io/example/server: only accounts that may read it get it (401), and no credentials are known; "
        "name them under upstream.credentials.docker.io in site.yaml, or run `docker login docker.io`"),
    Failure("no token without a log-in (401)", "server", private("token"),
        "docker.io/example/server: only accounts that may read it get it (401), and no credentials are known; "
        "name them under upstream.credentials.docker.io in site.yaml, or run `docker login docker.io`"),
    Failure("the password is wrong (401)", "server", log_in,
        "docker.io/example/server: its token server does not accept the credentials of ann (401); "
        "see whether they are still valid"),
    Failure("an unknown kind of log-in", "server", at(HUB, "/manifests/", faults.status(
            401, Www_Authenticate="Negotiate")),
        "docker.io/example/server: wants a log-in of a kind that is not known: 'Negotiate'; "
        "ask its operator for token or basic authentication"),
    Failure("the token is a page", "server", at("auth.docker.io", "/token", faults.log_in_page),
        "docker.io/example/server: its token server answers with something that is not a token; "
        "see whether a proxy or log-in page answers instead"),
    Failure("the token nests without an end", "server", at("auth.docker.io", "/token", faults.replaced(DEEP)),
        "docker.io/example/server: its token server answers with something that is not a token; "
        "see whether a proxy or log-in page answers instead"),
    Failure("no permission (403)", "server", at(HUB, "/manifests/", faults.status(403)),
        f"{SERVER}: {HUB} refuses this (403); if it needs an account, name them under "
        f"upstream.credentials.{HUB} in site.yaml"),
    Failure("rate limit (429)", "server", at(HUB, "/manifests/", faults.rate_limited(3600)),
        f"{SERVER}: {HUB} was asked too often (429) and asks to wait 3600 s; wait, or name them under "
        f"upstream.credentials.{HUB} in site.yaml: accounts may ask more often"),
    Failure("a fault of its own (500)", "server", at(HUB, "/manifests/", faults.status(500)),
        f"{SERVER}: {HUB} has a fault of its own (500); run the same command again later; it resumes from here"),
    Failure("overloaded (503)", "server", at(HUB, "/manifests/", faults.status(503)),
        f"{SERVER}: {HUB} has a fault of its own (503); run the same command again later; it resumes from here"),
    Failure("the manifest is tampered with", "server", at(HUB, "/manifests/1.0", faults.tampered),
        f"{SERVER}: asked for manifest {{server}}, got sha256:…; it was exchanged or damaged: do not use it; "
        "see what stands in between"),
    Failure("a log-in page of the network", "server", at(HUB, "/manifests/1.0", faults.log_in_page),
        f"{SERVER}: the registry answers with something that is not a manifest (text/html); "
        "see whether a proxy or log-in page answers instead"),
    Failure("wrong media type", "server", at(HUB, "/manifests/1.0", faults.media_type(
            "application/vnd.oci.image.manifest.v1+json")),
        f"{SERVER}: says it is application/vnd.oci.image.index.v1+json, but its registry says "
        "application/vnd.oci.image.manifest.v1+json; ask the registry's operator: do not use it"),
    Failure("Docker's first format", "server", lambda w: manifest(w, schemaVersion=1),
        f"{SERVER}: is kept in Docker's first format, which no runtime takes any more; "
        "use a newer version, or push it again with skopeo"),
    Failure("no image but something else", "server", lambda w: manifest(
            w, config={"mediaType": "application/vnd.cncf.helm.config.v1+json"}),
        f"{SERVER}: is not a container image: its config is application/vnd.cncf.helm.config.v1+json; see the name"),
    Failure("wrong architecture of an index", "server", lambda w: exchanged_image(
            w, platforms=("linux/arm64", "windows/amd64")),
        f"{SERVER}: has no image for linux/amd64: there is linux/arm64, windows/amd64; "
        "use another version, or hosts of that architecture"),
    Failure("wrong architecture of an image", "server", lambda w: one_image(w, platform="linux/s390x"),
        f"{SERVER}: has no image for linux/amd64: there is linux/s390x; "
        "use another version, or hosts of that architecture"),
    Failure("a foreign layer", "server", lambda w: exchanged_image(
            w, layer_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        f"{SERVER}: has a layer that its registry may not hand out (application/vnd.docker.image.rootfs.foreign"
        ".diff.tar.gzip); such layers come from their maker only: use another image"),
    Failure("an encrypted layer", "server", lambda w: one_image(
            w, layer_type="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
        f"{SERVER}: has an encrypted layer; use one that is not encrypted"),
    Failure("a layer that nobody unpacks", "server", lambda w: one_image(w, layer_type="application/x-xz"),
        f"{SERVER}: has a layer of a kind that no host unpacks (application/x-xz); use another image"),
    Failure("a digest that is a path", "server", lambda w: manifest(
            w, layers=[{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:../x", "size": 1}]),
        f"{SERVER}: names something by 'sha256:../x', which is not a sha256 digest; ask its maker"),
    Failure("redirects in a circle", "server", at(HUB, "/manifests/1.0", faults.looping),
        f"{SERVER}: {HUB} redirects in a circle: https://{HUB}/v2/example/server/manifests/1.0 → "
        f"https://{HUB}/v2/example/server/manifests/1.0; see the address, and a proxy or mirror in between"),
    Failure("redirects to http", "server", at(HUB, "/manifests/1.0", faults.redirected("http://evil.example/x")),
        f"{SERVER}: {HUB} redirects from https to http://evil.example/x; "
        "give an address, or a mirror, that stays with https"),
    Failure("the certificate has expired", "server", lambda w: w.net.certify(
            HUB, timedelta(days=-3), timedelta(days=-2)),
        f"{SERVER}: {HUB} its certificate has expired; this machine's clock says … UTC; "
        "set the clock if it is wrong; if it is right, only the host's owner can help"),
    Failure("this machine's clock is wrong", "server", lambda w: w.net.certify(
            HUB, timedelta(days=2), timedelta(days=3)),
        f"{SERVER}: {HUB} its certificate is not valid yet; this machine's clock says … UTC; set the clock"),
    Failure("an unknown CA", "server", lambda w: w.upstream.pop("ca"),
        f"{SERVER}: {HUB} its certificate is signed by a CA that this machine does not know; "
        "give the CA: upstream.ca in site.yaml, or SSL_CERT_FILE"),
    Failure("the CA's file is none", "server", lambda w: w.upstream.update(ca="/etc/hostname"),
        "…: upstream.ca: /etc/hostname has no certificate; name a file with certificates in PEM form"),
    Failure("the proxy wants a log-in (407)", "server", lambda w: w.net.require_proxy_login("ann", "x"),
        f"{SERVER}: {HUB} the proxy wants to know who asks (407); "
        "put user and password into HTTPS_PROXY, or name them under upstream.credentials"),
    Failure("the proxy is not there", "server", lambda w: w.upstream.update(proxy="http://127.0.0.1:9"),
        f"{SERVER}: {HUB} cannot be asked: the proxy 127.0.0.1:9 refuses connections; "
        "see upstream.proxy in site.yaml, or HTTPS_PROXY"),
    Failure("a mirror that is filled in part", "server", without_proxy,
        f"{SERVER}: 127.0.0.1:… the mirror does not have it (404); "
        "fill the mirror, or take it out of upstream.mirrors"),
    Failure("the password is not in the environment", "server", lambda w: w.upstream.update(
            credentials={"docker.io": {"user": "ann", "env": "HUB_PASSWORD"}}),
        "upstream.credentials.docker.io: the environment has no HUB_PASSWORD; "
        "export HUB_PASSWORD=… before you run aiplat"),
    Failure("Docker's file of log-ins is damaged", "server", docker_login("{"),
        "…/nobody/config.json: is not the JSON that `docker login` writes; repair it, or move it away"),
    Failure("Docker's log-in is for Docker alone", "server", docker_login(
            '{"auths": {"https://index.docker.io/v1/": {"identitytoken": "x"}}}'),
        "…/nobody/config.json: keeps an identity token, which only Docker itself can use; "
        "name user and password under upstream.credentials in site.yaml"),
    Failure("Docker's log-in is damaged", "server", docker_login(
            '{"auths": {"https://index.docker.io/v1/": {"auth": "%%%"}}}'),
        "…/nobody/config.json: holds a log-in that cannot be read; run `docker login` again"),
    Failure("no checksum for this architecture", "tool", lambda w: w.release.files.update(
            {"/tool-amd64.tar.gz.sha256sum": b"0" * 64 + b"  tool-arm64.tar.gz\n"}),
        "https://get.example.org/tool-amd64.tar.gz.sha256sum: has no checksum of tool-amd64.tar.gz; see whether "
        "the version exists for this architecture, and whether a proxy or mirror answers"),
    Failure("no checksums at all (404)", "tool", lambda w: w.release.files.pop("/tool-amd64.tar.gz.sha256sum"),
        "https://get.example.org/tool-amd64.tar.gz.sha256sum: is not there (404); …"),
    Failure("no such chart", "addon", lambda w: w.charts.index.update(entries={"addons": [{"version": "1.0"}]}),
        "https://charts.example.org/: has no chart addon; did you mean addons?"),
    Failure("no such version of a chart", "addon", lambda w: w.charts.index.update(
            entries={"addon": [{"version": "2.0"}]}),
        "https://charts.example.org/: has no version 1.0 of the chart addon; the newest there is 2.0; "
        "see versions.yaml"),
    Failure("no index of charts", "addon", at("charts.example.org", "index.yaml", faults.log_in_page),
        "https://charts.example.org/index.yaml: is not an index of a Helm repository; "
        "see the address, and whether a log-in page answers instead"),
    Failure("a chart's address is missing", "addon", lambda w: w.charts.index.update(
            entries={"addon": [{"name": "addon", "version": "1.0"}]}),
        "https://charts.example.org/: names no address for addon 1.0; ask the repository's owner"),
    Failure("a chart is not what its index says", "addon", at("charts.example.org", "tgz", faults.tampered),
        "https://charts.example.org/charts/addon-1.0.tgz: has the digest sha256:…, but its index says sha256:…; "
        "it was exchanged or damaged: do not use it"),
    Failure("another chart at its address", "addon", chart_archive("other", "1.0"),
        "https://charts.example.org/charts/addon-1.0.tgz: holds other 1.0 instead of addon 1.0; "
        "ask the repository's owner: do not use it"),
    Failure("an index that nests without an end", "addon", at("charts.example.org", "/index.yaml", faults.replaced(DEEP)),
        "https://charts.example.org/index.yaml: is not an index of a Helm repository; "
        "see the address, and whether a log-in page answers instead"),
    Failure("a chart that is not an archive", "addon", lambda w: (
            w.charts.index.update(entries={}), w.charts.publish("addon", "1.0", b"<html>")),
        "https://charts.example.org/charts/addon-1.0.tgz: is not a packaged chart: it is not an archive; "
        "ask the repository's owner"),
    Failure("no such model", "ollama", lambda w: w.ollama.manifests.clear(),
        f"{TINY}: is not a model that the registry has (404); "
        "see the spelling, and which tags there are on its page"),
    Failure("parts of a model that are not known", "ollama", lambda w: w.ollama.publish(
            "library/tiny", "1b", {"model": b"", "tensor": b"x"}),
        f"{TINY}: has parts of a kind that is not known: application/vnd.ollama.image.tensor; "
        "use another tag, or a newer aiplat"),
    Failure("a model without weights", "ollama", lambda w: w.ollama.publish("library/tiny", "1b", {"system": b"x"}),
        f"{TINY}: has no weights of its own; such models run elsewhere: use another"),
    Failure("a page instead of a model", "ollama", at("registry.ollama.ai", "/manifests/", faults.log_in_page),
        f"{TINY}: the registry answers with something that is not a manifest of a model; "
        "see the name, and whether a proxy or log-in page answers instead"),
    Failure("a model that nests without an end", "ollama", at("registry.ollama.ai", "/manifests/", faults.replaced(DEEP)),
        f"{TINY}: the registry answers with something that is not a manifest of a model; "
        "see the name, and whether a proxy or log-in page answers instead"),
    Failure("terms to be accepted (401)", "vllm", gated,
        "owner/little@main: is only for accounts that accepted its terms (401); accept its terms at "
        "https://huggingface.co/owner/little, then set HF_TOKEN to a token of that account"),
    Failure("access not given (403)", "vllm", not_for_this_account,
        "owner/little@main: the account of HF_TOKEN was not given access (403); ask for access at "
        "https://huggingface.co/owner/little, or use the token of an account that has it"),
    Failure("no such repository", "vllm", lambda w: w.models.repositories.clear(),
        "owner/little@main: is not there, or private (401); see the spelling; for a private one set HF_TOKEN"),
    Failure("pickles only", "vllm", hub_files(config__json=b"{}", pytorch_model__bin=b"x"),
        "owner/little@main: has its weights only as pytorch_model.bin, which would run as a program when it is "
        "loaded; use a repository with safetensors or GGUF files"),
    Failure("no weights", "vllm", hub_files(README__md=b"x"),
        "owner/little@main: has no weights at all; see the repository's name"),
    Failure("weights of another kind", "vllm", hub_files(little__gguf=gguf()),
        "owner/little@main: no weights fit *.safetensors, …; there are little.gguf; name them in `files`"),
    Failure("a shard is missing", "vllm", hub_files(
            model__safetensors=safetensors(), model__safetensors__index__json=b'{"weight_map": {"a": "b.safetensors"}}'),
        "owner/little@main: its index names b.safetensors, which is not there; use another commit"),
    Failure("an index of shards nests without an end", "vllm", hub_files(
            model__safetensors=safetensors(), model__safetensors__index__json=DEEP),
        "owner/little@main: its index of shards cannot be read; use another commit"),
    Failure("a small file was exchanged", "vllm", at("huggingface.co", "/resolve/.*json", faults.replaced(b"[]")),
        "owner/little@main: config.json is not what the commit has: it was exchanged or damaged; "
        "do not use it; see what stands in between"),
    Failure("no answer of a hub", "vllm", at("huggingface.co", "/api/", faults.log_in_page),
        "owner/little@main: the hub answers with something that is not a model's description; "
        "see HF_ENDPOINT, and whether a proxy or log-in page answers instead"),
)

BUILD = (
    Failure("a layer is tampered with", "server", at(STORE, "{layer}", faults.tampered),
        f"{SERVER}: its {{blob}} from {HUB} its content is sha256:…, not {{layer}}; it is damaged, or was "
        "exchanged: do not use it; ask its project, or see what stands in between"),
    Failure("a layer is shorter than it must be", "server", at(STORE, "{layer}", faults.shortened),
        f"{SERVER}: its {{blob}} from {HUB} has … bytes instead of …; it is damaged, or was "
        "exchanged: do not use it; ask its project, or see what stands in between"),
    Failure("a layer breaks off at the same byte again and again", "server", at(STORE, "{layer}", faults.cut(0)),
        f"{SERVER}: its {{blob}} from … broke off …; run the same command again; it resumes from here"),
    Failure("a layer is gone", "server", at(STORE, "{layer}", faults.status(404)),
        f"{SERVER}: its {{blob}} is not there (404); "
        "see which there are: skopeo list-tags docker://docker.io/example/server"),
    Failure("the image is gone", "server", lambda w: (w.hub.manifests.clear(), w.forget_kept()),
        f"{SERVER}: is not there (404); see which there are: skopeo list-tags docker://docker.io/example/server"),
    Failure("a layer leads to http", "server", at(HUB, "{layer}", faults.redirected("http://evil.example/x")),
        f"{SERVER}: its {{blob}} from {HUB} redirects from https to http://evil.example/x; "
        "give an address, or a mirror, that stays with https"),
    Failure("a release's file is tampered with", "tool", at("get.example.org", "gz$", faults.tampered),
        "https://get.example.org/tool-amd64.tar.gz: its content is sha256:…, not {tool}; it is damaged, or was "
        "exchanged: do not use it; ask its project, or see what stands in between"),
    Failure("a chart was exchanged", "addon", at("charts.example.org", "tgz", faults.tampered),
        "https://charts.example.org/charts/addon-1.0.tgz: upstream has sha256:… now, but sha256:… is locked; "
        "if its project announced that: aiplat lock --update"),
    Failure("a model was exchanged", "ollama", lambda w: w.ollama.publish("library/tiny", "1b", {"model": gguf(9)}),
        f"{TINY}: upstream has sha256:… now, but {{tiny}} is locked; "
        "if its project announced that: aiplat lock --update"),
    Failure("weights are tampered with", "ollama", at("models.r2.example", "sha256", faults.tampered),
        "https://registry.ollama.ai/v2/library/tiny/blobs/sha256:…: its content is sha256:…, not sha256:…; it is "
        "damaged, or was exchanged: do not use it; ask its project, or see what stands in between"),
    Failure("a commit was taken away", "vllm", lambda w: w.models.publish(
            "owner/little", {"model.safetensors": safetensors(5)}),
        "owner/little@…: has no such revision; see https://huggingface.co/owner/little/commits/main"),
)
# fmt: on
