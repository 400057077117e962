"""Finding models by label: against an API server on loopback that lists and watches as Kubernetes does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from ruamel.yaml import YAML

from aiplat.services.gateway.routing.discovery import ServiceWatch, adapters_of, endpoints_of, model_of
from aiplat.services.gateway.routing.models import SAMPLING, ModelTable
from tests.patience import PATIENCE


def service(name: str, **annotations: str) -> dict[str, Any]:
    """Return a Service as the ollama chart makes it."""
    notes = {f"aiplat.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": f"model-{name}",
            "namespace": "aiplat-model",
            "uid": name,
            "resourceVersion": "5",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"aiplat.dev/model": name, "aiplat.dev/engine": "ollama"},
            "annotations": notes,
        },
        "spec": {"clusterIP": "10.43.0.9", "ports": [{"port": 11434}]},
    }


def slice_of(name: str, *addresses: str, ready: bool | None = True) -> dict[str, Any]:
    """Return an EndpointSlice as Kubernetes makes it for a Service."""
    conditions = {} if ready is None else {"ready": ready}
    return {
        "metadata": {
            "name": f"model-{name}-x",
            "uid": f"slice-{name}",
            "resourceVersion": "6",
            "labels": {"kubernetes.io/service-name": f"model-{name}"},
        },
        "ports": [{"name": "http", "port": 11434}],
        "endpoints": [{"addresses": [address], "conditions": conditions} for address in addresses],
    }


class ApiServer:
    """Lists `services` and `slices` and plays events of both; a watch lasts until it is sent None."""

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
        self.slices: list[dict[str, Any]] | None = []
        self.slice_events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.lists = 0
        self.refuse = 0
        self.queries: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """List or watch."""
        self.queries.append(dict(request.query))
        if self.refuse:
            self.refuse -= 1
            return web.json_response({"message": "forbidden"}, status=403)
        if "watch" not in request.query:
            self.lists += 1
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": self.services})
        return await self._play(request, self.events)

    async def answer_slices(self, request: web.Request) -> web.StreamResponse:
        """The same for EndpointSlices, which an older role may not list."""
        if self.slices is None:
            return web.json_response({"message": "forbidden"}, status=403)
        if "watch" in request.query:
            return await self._play(request, self.slice_events)
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": self.slices})

    async def _play(
        self, request: web.Request, events: asyncio.Queue[dict[str, Any] | None]
    ) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        while (event := await events.get()) is not None:
            await stream.write(json.dumps(event).encode() + b"\n")
        return stream


@asynccontextmanager
async def watched(server: ApiServer) -> AsyncIterator[ModelTable]:
    """Run a watch against the server and yield its table."""
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/aiplat-model/services", server.answer)
    slices = "/apis/discovery.k8s.io/v1/namespaces/aiplat-model/endpointslices"
    app.router.add_get(slices, server.answer_slices)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    table = ModelTable()
    watch = ServiceWatch(table, "aiplat-model", f"http://127.0.0.1:{runner.addresses[0][1]}")
    task = asyncio.create_task(watch.run())
    try:
        yield table
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test body."""

    async def body() -> None:
        await test()

    asyncio.run(body())


def test_a_service_is_a_model_under_its_true_name() -> None:
    """Labels cannot hold a colon; the annotation has the name, the address is the cluster IP."""
    model = model_of(service("g", model_name="gemma3:270m", model_aliases="a,b"))
    assert model is not None
    assert (model.name, model.aliases) == ("gemma3:270m", ("a", "b"))
    assert model.replicas == ("http://10.43.0.9:11434",)
    assert model.created == 1767225600


def test_a_service_without_annotations_goes_by_its_label() -> None:
    """A team's own Service needs no more than the label."""
    model = model_of(service("tiny"))
    assert model is not None
    assert model.name == "tiny"


def test_a_headless_service_is_asked_by_name() -> None:
    """Without a cluster IP there is still DNS."""
    headless = service("g")
    headless["spec"]["clusterIP"] = "None"
    model = model_of(headless)
    assert model is not None
    assert model.replicas == ("http://model-g.aiplat-model.svc:11434",)


def test_the_table_follows_what_is_added_changed_and_deleted() -> None:
    """List first, then every event; only labelled Services are asked for."""

    async def body() -> None:
        server = ApiServer()
        server.services = [service("one")]
        async with watched(server) as table:
            await until(lambda: table.names() == ["one"])
            assert table.ready
            server.events.put_nowait({"type": "ADDED", "object": service("two")})
            await until(lambda: table.names() == ["one", "two"])
            server.events.put_nowait({"type": "MODIFIED", "object": service("two", model_name="2")})
            await until(lambda: table.names() == ["2", "one"])
            server.events.put_nowait({"type": "DELETED", "object": service("one")})
            await until(lambda: table.names() == ["2"])
            assert server.queries[0]["labelSelector"] == "aiplat.dev/model"
            assert server.queries[1]["resourceVersion"] == "7"

    run(body)


def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    """The API server ends every watch after a while; nothing is listed again for that."""

    async def body() -> None:
        server = ApiServer()
        async with watched(server):
            moved = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
            server.events.put_nowait(moved)
            server.events.put_nowait(None)
            await until(lambda: len(server.queries) >= 3)
            assert server.queries[2]["resourceVersion"] == "9"
            assert server.lists == 1

    run(body)


def test_a_watch_that_is_too_old_lists_again() -> None:
    """ERROR 410 Gone is the API server's way to say so."""

    async def body() -> None:
        server = ApiServer()
        async with watched(server) as table:
            await until(lambda: server.lists == 1)
            server.services = [service("new")]
            server.events.put_nowait({"type": "ERROR", "object": {"code": 410}})
            await until(lambda: table.names() == ["new"])

    run(body)


def test_an_outage_of_the_api_server_leaves_the_models_in_place() -> None:
    """The data path lives on what was known, and catches up afterwards."""

    async def body() -> None:
        server = ApiServer()
        server.services = [service("one")]
        async with watched(server) as table:
            await until(lambda: table.names() == ["one"])
            server.refuse = 2
            server.services = [service("two")]
            server.events.put_nowait(None)
            await until(lambda: server.refuse == 0)
            assert table.names() == ["one"]
            await until(lambda: table.names() == ["two"])

    run(body)


def test_an_unusable_service_hides_no_other() -> None:
    """One with a word that cannot be used is left out and said so in the log."""

    async def body() -> None:
        server = ApiServer()
        strange = service("strange")
        strange["metadata"]["annotations"]["aiplat.dev/output-limit"] = "abacus"
        server.services = [strange, service("good")]
        async with watched(server) as table:
            await until(lambda: table.names() == ["good"])

    run(body)


def test_annotations_say_how_a_model_is_asked() -> None:
    """Fallbacks and how long a request is held are the Service's to say."""
    notes = {"fallbacks": "b, c", "hold_seconds": "7.5"}
    model = model_of(service("g", **notes))
    assert model is not None
    assert (model.fallbacks, model.hold_seconds) == (("b", "c"), 7.5)


def test_annotations_say_what_an_engine_speaks() -> None:
    """Paths, the field that bounds answers and the roles it knows; nothing said means that it is asked."""
    silent = model_of(service("g"))
    assert silent is not None
    assert silent.has("/api/chat")
    speaking = service("g")
    for name, value in (
        ("paths", "/v1/completions"),
        ("output-limit", "max_completion_tokens"),
        ("roles", "user"),
        ("options", "seed,stop"),
    ):
        speaking["metadata"]["annotations"][f"aiplat.dev/{name}"] = value
    model = model_of(speaking)
    assert model is not None
    assert (model.has("/v1/completions"), model.has("/api/chat")) == (True, False)
    assert (model.output_limit, model.roles) == ("max_completion_tokens", ("user",))
    assert (model.options, silent.options) == (("seed", "stop"), SAMPLING)


def test_where_nobody_says_the_options_of_ollama_hold() -> None:
    """What may be set at an engine that no component describes is what may be set at Ollama."""
    described = YAML(typ="safe").load(Path("charts/model/ollama/component.yaml"))
    assert tuple(described["engine"]["run"]["api"]["options"]) == SAMPLING


def test_ready_endpoints_are_the_replicas() -> None:
    """Of all slices of a Service; one that is not ready is none, unknown counts as ready."""
    slices = [slice_of("a", "10.42.0.2", "10.42.0.1"), slice_of("a", "fd00::1", ready=None)]
    slices.append(slice_of("b", "10.42.0.9", ready=False))
    assert endpoints_of(slices) == {
        "model-a": ("http://10.42.0.1:11434", "http://10.42.0.2:11434", "http://[fd00::1]:11434"),
        "model-b": (),
    }


def test_a_slice_without_ports_or_endpoints_has_no_replicas() -> None:
    """Kubernetes writes null for both while a Service selects nothing."""
    empty = slice_of("a") | {"endpoints": None, "ports": None}
    assert endpoints_of([empty]) == {"model-a": ()}


def test_replicas_follow_the_endpoint_slices() -> None:
    """From none to two and back to none; the model stays in the table throughout."""

    async def body() -> None:
        server = ApiServer()
        server.services, server.slices = [service("one")], [slice_of("one")]
        async with watched(server) as table:

            def replicas() -> tuple[str, ...]:
                model = table.find("one")
                return model.replicas if model else ("not there",)

            await until(lambda: replicas() == ())
            for addresses in (("10.42.0.1", "10.42.0.2"), ()):
                server.slice_events.put_nowait({"type": "MODIFIED", "object": slice_of("one", *addresses)})
                expected = tuple(f"http://{a}:11434" for a in addresses)
                await until(lambda expected=expected: replicas() == expected)

    run(body)


def test_without_the_right_to_see_slices_the_service_is_asked() -> None:
    """A cluster whose role is older still serves; Kubernetes then chooses the pod."""

    async def body() -> None:
        server = ApiServer()
        server.services, server.slices = [service("one")], None
        async with watched(server) as table:
            await until(lambda: table.names() == ["one"])
            model = table.find("one")
            assert model is not None
            assert model.replicas == ("http://10.43.0.9:11434",)

    run(body)


def test_adapters_are_models_of_their_own_names() -> None:
    """On the same replicas, under the names the engine knows them by; the model's aliases stay its own."""
    described = service("llama", model_aliases="base", served_as="llama:8b", adapters="tuned,legal")
    model = model_of(described, ("http://10.42.0.9:8000",))
    assert model is not None
    found = adapters_of(described, model)
    assert [(m.name, m.engine_name, m.aliases, m.urls) for m in found] == [
        ("tuned", "tuned", (), model.urls),
        ("legal", "legal", (), model.urls),
    ]
