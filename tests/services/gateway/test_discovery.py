"""Finding models by label: against an API server on loopback that lists and watches as Kubernetes does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from aiplat.services.gateway.discovery import ServiceWatch, model_of
from aiplat.services.gateway.models import ModelTable


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


class ApiServer:
    """Lists `services` and plays `events`; each watch ends when its events are sent, unless it holds."""

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
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
        stream = web.StreamResponse()
        await stream.prepare(request)
        while (event := await self.events.get()) is not None:
            await stream.write(json.dumps(event).encode() + b"\n")
        return stream


@asynccontextmanager
async def watched(server: ApiServer) -> AsyncIterator[ModelTable]:
    """Run a watch against the server and yield its table."""
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/aiplat-model/services", server.answer)
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
    """Wait, at most 10 s, for something to become true."""
    async with asyncio.timeout(10):
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
    assert (model.name, model.aliases, model.url) == ("gemma3:270m", ("a", "b"), "http://10.43.0.9:11434")
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
    assert model.url == "http://model-g.aiplat-model.svc:11434"


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
    """One with an engine nobody knows is left out and said so in the log."""

    async def body() -> None:
        server = ApiServer()
        strange = service("strange")
        strange["metadata"]["labels"]["aiplat.dev/engine"] = "abacus"
        server.services = [strange, service("good")]
        async with watched(server) as table:
            await until(lambda: table.names() == ["good"])

    run(body)
