"""Limits: each has a test that fills it, here where no other test does."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from aiplat.services import background, bounds, connections
from aiplat.services.background import Task, keep_running
from aiplat.services.connections import Doors
from aiplat.services.gateway.accounts.prices import PriceList, TokenPrice
from aiplat.services.gateway.accounts.usage_writer import UsageWriter
from aiplat.services.gateway.apis import calls
from aiplat.services.gateway.health import health_port
from aiplat.services.gateway.http.answer_memory import AnswerMemory, TooMuch
from aiplat.services.gateway.http.bodies import Memory
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.http.frames import FrameSplitter
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.requests import context as request_context
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.gateway.routing.models import Model, ModelTable
from aiplat.services.gateway.routing.replicas import Pool
from aiplat.services.gateway.settings import GatewaySettings
from aiplat.services.gateway.upstream import connections as upstream_connections
from aiplat.services.gateway.upstream import failover
from aiplat.services.gateway.upstream.connections import Upstreams
from aiplat.services.gateway.upstream.document import RejectedFields
from aiplat.services.operator import health as operator_health
from tests.patience import PATIENCE
from tests.services.test_connections import GET, end_of, hello

pytestmark = pytest.mark.anyio

SERVICES = Path(__file__).parent


def names_in(file: Path) -> set[str]:
    """Return the names that a module's code uses; words in texts and what is only imported do not count."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    # As monkeypatch takes it: a path of a module and a name in it.
    patched = {text.rpartition(".")[2] for text in texts if text.startswith("aiplat.")}
    return attributes | patched | {node.id for node in nodes if isinstance(node, ast.Name)}


def test_every_limit_is_used_by_a_test() -> None:
    """A limit that nobody fills may not hold; one that is not used anywhere is not one."""
    limits = {name for name in vars(bounds) if name.isupper()}
    tested = set().union(*(names_in(file) for file in SERVICES.rglob("*.py")))
    assert limits - tested == set()
    package = Path(bounds.__file__).parent
    used = set().union(
        *(file.read_text().split() for file in package.rglob("*.py") if file.name != "bounds.py")
    )
    words = {word.strip("(),:+*[]") for word in used}
    assert {name for name in limits if not any(name in word for word in words)} == set()


def asked(receive: Any = None) -> RequestContext:
    """Return a request whose body and end never come."""

    async def nothing() -> Any:
        await asyncio.Event().wait()

    stays = {connections.WATCH: {"watch": lambda _: None}}
    scope = {"method": "POST", "path": "/v1/completions", "headers": [], "extensions": stays}
    return RequestContext(scope, receive or nothing, nothing)


@contextlib.asynccontextmanager
async def upstream(said: bytes, times: int = 1) -> AsyncIterator[tuple[Upstreams, URL]]:
    """Answer every connection with the same bytes, `times` times as long as it is read; then stay silent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(times):
                writer.write(said)
                await writer.drain()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Upstreams() as upstreams:
        yield upstreams, URL(f"http://127.0.0.1:{port}/")
    server.close()


ENDLESS = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n\r\n"


@pytest.mark.parametrize("more", [0, 1])
async def test_early_answers_are_counted(more: int) -> None:
    """So many may come before the one that counts; a flood of them ends the connection."""
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * (bounds.EARLY_ANSWERS + more)
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    async with upstream(early + whole) as (upstreams, url):
        if more:
            with pytest.raises(aiohttp.ClientPayloadError, match="1xx"):
                await upstreams.post(url, b"", {})
        else:
            assert (await upstreams.post(url, b"", {})).status == 200


async def test_a_list_and_an_error_are_read_to_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they are; an engine's word about itself has a time as well."""
    async with upstream(ENDLESS % 200 + b" " * (bounds.LISTED_BYTES + 2)) as (upstreams, url):
        with pytest.raises(ValueError, match="too long"):
            await upstreams.look(url)
    async with upstream(ENDLESS % 400 + b"x" * (2 * bounds.ERROR_BYTES)) as (upstreams, url):
        answer = await upstreams.post(url, b"", {})
        assert len(await failover._words(answer)) == bounds.ERROR_BYTES
        answer.close()
    assert upstream_connections._LOOK.total == bounds.LOOK_SECONDS
    monkeypatch.setattr(upstream_connections, "_LOOK", aiohttp.ClientTimeout(total=0.01))
    async with upstream(b"") as (upstreams, url):
        with pytest.raises(TimeoutError):
            await upstreams.look(url)


async def test_silence_and_an_answer_without_an_end_have_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an upstream's first byte, and of everything together."""
    assert bounds.SILENCE_SECONDS < bounds.ANSWER_SECONDS
    monkeypatch.setattr(upstream_connections, "SILENCE_SECONDS", 0.01)
    async with upstream(b"") as (upstreams, url):
        with pytest.raises(TimeoutError):
            await upstreams.post(url, b"", {})

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(calls.Failover, "response", never)
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 0.01)
    nothing: Any = None
    with pytest.raises(TimeoutError):
        await calls.call(
            asked(), nothing, ModelRequest(Model(name="m", url="http://x"), {}, nothing), nothing, nothing
        )


async def test_a_body_that_does_not_come_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """408 when it has passed."""
    monkeypatch.setattr(request_context, "BODY_SECONDS", bounds.BODY_SECONDS / 10**4)
    with pytest.raises(ApiError) as refused:
        await asked().body(Memory(1, 1))
    assert refused.value.status == 408


async def test_an_answered_connection_waits_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is closed, though it is not in anybody's way."""
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", bounds.KEEP_ALIVE_SECONDS / 1000)
    server = connections.server(hello, ("127.0.0.1", 0), grace=1, doors=Doors())
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"\r\n")
    assert (await asyncio.wait_for(reader.read(), PATIENCE)).startswith(b"HTTP/1.1 200")
    server.servers[0].close()


@pytest.mark.parametrize("service", ["gateway", "operator"])
async def test_silent_connections_make_room_at_the_health_port(service: str) -> None:
    """Kubernetes' probe is answered, however many hold the port; unknown paths are 404."""
    ports = {
        "gateway": health_port("127.0.0.1", 0, ModelTable(), Metrics()),
        "operator": operator_health.health_port(operator_health.Pulse(), 0, "127.0.0.1"),
    }
    async with ports[service] as port:
        silent = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(bounds.HEALTH_CONNECTIONS + 8)
        ]
        said = []
        for path, method in (("healthz", "GET"), ("readyz", "HEAD"), ("other", "GET"), ("healthz", "POST")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{method} /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            said.append((await asyncio.wait_for(reader.read(), PATIENCE))[9:12])
        assert said == [b"200", b"503", b"404", b"404"]
        assert await end_of(silent[0][0]) == b""


def test_answers_in_another_form_have_room_each_and_together() -> None:
    """What is given back is there again."""
    room = AnswerMemory()
    one = room.share()
    with pytest.raises(TooMuch):
        one.take(bounds.ANSWER_BYTES)
    many = [room.share() for _ in range(bounds.ANSWERS_BYTES // bounds.ANSWER_BYTES)]
    for share in many:
        share.take(bounds.ANSWER_BYTES - 64)
    with pytest.raises(TooMuch):
        one.take(1)
    many[0].close()
    one.take(1)


def test_a_frame_has_a_size() -> None:
    """Also where its end never comes."""
    splitter = FrameSplitter()
    assert list(splitter.documents(b"data: " + b"x" * (bounds.FRAME_BYTES - 6))) == []
    with pytest.raises(ValueError, match="larger than"):
        list(splitter.documents(b"x"))


async def test_only_so_many_wait_for_a_model() -> None:
    """The next one is told to come back."""
    pool = Pool(Model(name="m", urls=(), hold_seconds=60))
    waiting = [asyncio.create_task(pool.ready()) for _ in range(bounds.WAITING_REQUESTS)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError, match="too many requests wait"):
        await pool.ready()
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_records_beyond_the_most_are_lost_and_counted() -> None:
    """The queue does not grow, whatever the disk does."""
    lost: list[tuple[str, int]] = []
    nothing: Any = None
    counts: Any = SimpleNamespace(usage=lambda fate, count: lost.append((fate, count)))
    recorder = UsageWriter(nothing, nothing, counts, nothing)
    for _ in range(bounds.RECORDS + 2):
        recorder.put(nothing)
    assert recorder.queued == bounds.RECORDS
    assert lost == [("lost", 1), ("lost", 1)]


def test_what_is_learned_of_providers_is_forgotten_when_it_is_too_much() -> None:
    """The newest is kept."""
    rejected = RejectedFields()
    for number in range(bounds.UNKNOWN_FIELDS + 1):
        model = Model(name=f"m{number}", url="http://x")
        rejected.learn(model, {"max_tokens"})
    assert len(rejected._by_model) <= bounds.UNKNOWN_FIELDS
    assert rejected.of(model) == {"max_tokens"}


def test_no_request_costs_more_than_the_most() -> None:
    """Whatever an upstream counts and a site asks."""
    prices = PriceList({"m": TokenPrice(prompt=10**6, completion=10**6, request=10**6)})
    assert prices.cost("m", TokenUsage(bounds.MOST_COUNT, bounds.MOST_COUNT)) == bounds.MOST_COST


async def test_the_pause_after_failures_grows_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubled from the first one on."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            raise asyncio.CancelledError

    monkeypatch.setattr(background, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))

    async def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(asyncio.CancelledError):
        await keep_running(Task("t", fail), lambda _: None)
    assert pauses[:3] == [bounds.RESTART_SECONDS * 2**n for n in range(3)]
    assert pauses[-1] == bounds.LONGEST_RESTART_SECONDS


def test_the_charts_sum_is_that_of_the_limits() -> None:
    """What the gateway may hold at once is added up where its container's limit is given, and is below it."""
    text = Path("charts/access/gateway/README.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    held = {row[0]: int(row[2]) for row in rows if len(row) == 3 and row[0] and row[2].isdigit()}
    mib = 1 << 20
    health = bounds.HEALTH_CONNECTIONS
    assert {re.split("[:,;(]", name)[0].strip(): size for name, size in held.items()} == {
        "the process itself": 100,
        f"{bounds.CONNECTIONS} connections": 232,
        f"{health} connections of the port for health and metrics": math.ceil(
            232 * health / bounds.CONNECTIONS
        ),
        "of every request": bounds.CONNECTIONS * bounds.SMALL_BYTES // mib,
        "requests as they lie in memory": GatewaySettings.max_bodies_mib,
        "one body while it is understood": 5 * GatewaySettings.max_body_mib,
        "answers that are put into another form": 2 * bounds.ANSWERS_BYTES // mib,
        "one `aiplat usage`": 75,
    }
    assert f"| | | {sum(held.values())} |" in text
    limit = int(
        re.findall(r"memory: (\d+)Mi}", Path("charts/access/gateway/chart/values.yaml").read_text())[-1]
    )
    assert f"The container's limit is {limit} MiB" in text
    assert sum(held.values()) <= limit
