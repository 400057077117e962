"""Loopback servers that speak the upstreams' protocols under their names; nothing leaves the machine.

    with Upstreams(tmp_path) as net:                      # one HTTPS server, one proxy that leads to it
        hub = net.docker_hub()                            # docker.io: registry, token server, blob store
        hub.push("library/busybox", "1.0", layout)        # an OCI layout folder, served as it is
        net.github().release("k3s-io/k3s", "v1", {"k3s": Path(…), "sha256sum-amd64.txt": b"…"})
        net.files("get.helm.sh", {"/helm.tar.gz": Path(…)})
        net.fault("github.com", "/k3s$", rate_limited(seconds=0), times=1)
        …

A client reaches it in one of two ways: through `net.proxy` (an HTTP proxy; the client keeps the true
addresses, `https://github.com/…`), or by a mirror, `net.mirror("github.com")`, that stands for one upstream.
Either way it must trust `net.ca` (a PEM file). `net.environment` is what a process of its own needs for the
first way. `net.seen` is what was asked for, in order; `net.asked("github.com")` the paths at one host.

`server` is the HTTPS server, `proxy` the way to it, `authority` its certificates, `faults` what can go
wrong; one module per protocol is beside them: `registry`, `releases`, `helm_repository`, `ollama_registry`,
`huggingface_hub`. `images` makes small images, charts and models to serve.
"""
