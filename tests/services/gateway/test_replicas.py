"""Choosing among the replicas of a model, and waiting while there is none."""

from __future__ import annotations

import asyncio

import pytest

from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.routing.prefixes import BLOCK_CHARACTERS, PrefixMemory, prefix_blocks
from aiplat.services.gateway.routing.replicas import Pool, Pools
from tests.patience import PATIENCE

A, B, C = "http://10.0.0.1:1", "http://10.0.0.2:1", "http://10.0.0.3:1"
SHARED = "You answer briefly and in full sentences. " * 100


def pool(*urls: str, hold: float = 60, most_waiting: int = 256) -> Pool:
    """Return a pool of replicas at some URLs."""
    return Pool(Model(name="m", urls=urls, hold_seconds=hold), most_waiting)


def prompt(text: str) -> tuple[int, ...]:
    """Return the prefix blocks of a chat that begins with a text."""
    return prefix_blocks({"messages": [{"role": "system", "content": text}]})


def test_the_one_with_least_in_flight_is_chosen() -> None:
    """A busy replica waits its turn; equal ones take turns."""
    some = pool(A, B, C)
    some.replicas[0].in_flight, some.replicas[1].in_flight = 2, 1
    assert some.choose().url == C
    some.replicas[0].in_flight = some.replicas[1].in_flight = 0
    assert {some.choose().url for _ in range(3)} == {A, B, C}


def test_a_prompt_goes_where_its_beginning_was_seen() -> None:
    """The longest known beginning decides, not the latest request."""
    some = pool(A, B)
    first = some.choose(prompt(SHARED))
    other = some.choose(prompt("Something else. " * 100))
    assert other is not first
    for _ in range(5):
        assert some.choose(prompt(SHARED + "and continues")) is first


def test_a_loaded_replica_does_not_get_everything_that_shares_a_beginning() -> None:
    """With everybody asking with the same system prompt, load is spread within a quarter."""
    some = pool(A, B)
    for _ in range(40):
        some.choose(prompt(SHARED)).in_flight += 1
    loads = sorted(r.in_flight for r in some.replicas)
    assert sum(loads) == 40
    assert loads[1] <= 1.25 * 20 + 1


def test_a_short_prompt_has_no_blocks() -> None:
    """Below one block there is nothing to gain from choosing."""
    assert prompt("Hi") == ()
    assert len(prompt("x" * BLOCK_CHARACTERS)) == 1


@pytest.mark.parametrize(
    "document",
    [
        {"prompt": SHARED},
        {"input": SHARED},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SHARED}]}]},
    ],
)
def test_every_form_of_prompt_has_blocks(document: dict[str, object]) -> None:
    """Strings, messages and parts of messages; each block depends on all before it."""
    blocks = prefix_blocks(document)
    assert len(blocks) == len(SHARED) // BLOCK_CHARACTERS
    assert len(set(blocks)) == len(blocks)


@pytest.mark.parametrize("document", [{}, {"messages": 3}, {"messages": [None, {}]}, {"prompt": [1, 2]}])
def test_a_strange_prompt_has_no_blocks(document: dict[str, object]) -> None:
    """What cannot be read is left to the engine to refuse."""
    assert prefix_blocks(document) == ()


def test_a_long_prompt_is_read_at_its_beginning_only() -> None:
    """A hundred thousand words cost no more than a few pages."""
    assert len(prefix_blocks({"prompt": "x" * (1 << 20)})) == 32


def test_what_is_remembered_of_prompts_is_bounded() -> None:
    """The least recently used is forgotten."""
    memory = PrefixMemory(most=3)
    memory.note((1, 2, 3), A)
    memory.note((1, 4), B)
    assert memory.find((2,)) is None
    assert memory.find((1, 4)) == B


def test_one_that_failed_is_set_aside_for_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked for a second, then two, then four; one success makes it like every other."""
    now = 1000.0
    monkeypatch.setattr("aiplat.services.gateway.routing.replicas.time.monotonic", lambda: now)
    some = pool(A, B)
    first = some.replicas[0]
    for pause in (1.0, 2.0, 4.0):
        first.failed()
        assert first.aside_until == now + pause
    assert {some.choose().url for _ in range(4)} == {B}
    now += 4.0
    assert {some.choose().url for _ in range(4)} == {A, B}
    first.worked()
    first.failed()
    assert first.aside_until == now + 1.0


def test_when_all_have_failed_one_is_asked_all_the_same() -> None:
    """Setting aside is a preference: a model is never given up for it."""
    some = pool(A, B)
    for replica in some.replicas:
        replica.failed()
    assert some.all_aside()
    assert some.choose(tried={A}).url == B


def test_replicas_that_stay_keep_what_is_known_of_them() -> None:
    """A change of the list resets no counter."""
    some = pool(A, B)
    some.replicas[1].in_flight = 7
    some.update(Model(name="m", urls=(B, C)))
    assert [(r.url, r.in_flight) for r in some.replicas] == [(B, 7), (C, 0)]


def test_a_request_waits_for_the_first_replica() -> None:
    """It continues as soon as one is ready, and is counted as waiting until then."""

    async def body() -> None:
        empty = pool()
        waiting = [asyncio.create_task(empty.ready()) for _ in range(3)]
        await asyncio.sleep(0)
        assert empty.waiting == 3
        empty.update(Model(name="m", urls=(A,)))
        await asyncio.gather(*waiting)
        assert empty.waiting == 0

    asyncio.run(body())


def test_who_waits_too_long_is_told_to_come_back() -> None:
    """503 with Retry-After after `hold_seconds`."""
    with pytest.raises(ApiError) as refused:
        asyncio.run(pool(hold=0.01).ready())
    assert (refused.value.status, refused.value.code) == (503, "model_not_ready")
    assert refused.value.retry_after


def test_the_queue_is_bounded() -> None:
    """One more than may wait is refused at once."""

    async def body() -> None:
        empty = pool(most_waiting=1)
        first = asyncio.create_task(empty.ready())
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as refused:
            await empty.ready()
        assert (refused.value.status, refused.value.code) == (503, "queue_full")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert empty.waiting == 0

    asyncio.run(body())


def test_who_waits_for_a_model_that_goes_away_waits_no_longer() -> None:
    """A deleted model never becomes ready."""

    async def body() -> None:
        pools = Pools()
        model = Model(name="m")
        pools.update((model,))
        waiting = asyncio.create_task(pools.of(model).ready())
        await asyncio.sleep(0)
        pools.update(())
        with pytest.raises(ApiError):
            await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(body())
