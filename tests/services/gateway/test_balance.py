"""Several replicas, none, and fallbacks: what clients of a running gateway see of them."""

from __future__ import annotations

import concurrent.futures
import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aiplat.content import write_atomic
from tests.patience import eventually
from tests.ports import free_port
from tests.services.gateway.conftest import RunningGateway, running, write_site_files
from tests.services.gateway.engine import Engine

SYSTEM = {"role": "system", "content": "You answer briefly and in full sentences. " * 50}


@pytest.fixture(scope="module")
def second() -> Iterator[Engine]:
    """Another engine with the same models."""
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def balanced(
    engine: Engine, second: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway whose models have two replicas, one of them dead, none, and fallbacks."""
    folder = tmp_path_factory.mktemp("balanced")
    dead = f"http://127.0.0.1:{free_port()}"
    both = [e.url for e in (engine, second)]
    models: list[dict[str, Any]] = [
        {"name": "twice", "urls": both},
        {"name": "half", "urls": [dead, both[0]]},
        {"name": "asleep", "hold_seconds": 20},
        {"name": "never", "hold_seconds": 0.1},
        {"name": "down", "url": dead, "fallbacks": ["unknown", "never", "twice"]},
        {"name": "too-busy", "url": both[0], "fallbacks": ["twice"]},
        {"name": "breaks", "url": both[0], "fallbacks": ["twice"]},
    ]
    write_site_files(folder, {"models": models})
    with running(folder) as gateway:
        yield gateway


def ask(gateway: RunningGateway, model: str, text: str = "x", **more: Any) -> Any:
    """Ask a model for a chat; returns the answer."""
    messages = [SYSTEM, {"role": "user", "content": text}]
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json={"model": model, "messages": messages, **more})


def test_requests_of_one_conversation_stay_at_one_replica(
    balanced: RunningGateway, engine: Engine, second: Engine
) -> None:
    """What begins alike goes where the beginning is already computed."""
    second.seen.clear()
    for number in range(6):
        assert ask(balanced, "twice", f"question {number}").status_code == 200
    assert sorted((len(engine.seen), len(second.seen))) == [0, 6]


def test_requests_at_the_same_time_are_spread(
    balanced: RunningGateway, engine: Engine, second: Engine
) -> None:
    """Both replicas work when one alone would be loaded, even for one shared beginning."""
    second.seen.clear()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda n: ask(balanced, "twice", str(n)).status_code, range(48)))
    assert Counter(done) == {200: 48}
    assert min(len(engine.seen), len(second.seen)) > 0


def test_no_request_fails_for_a_dead_replica(balanced: RunningGateway) -> None:
    """It is asked once, set aside and shown so; clients notice nothing."""
    # Each time another prompt: what was asked before would go where it was answered.
    prompts = (f"{number}" * 3000 for number in count())

    def shown() -> bool:
        # At first for a second, which may be over on a busy machine, and for longer each time.
        assert ask(balanced, "half", next(prompts)).status_code == 200
        seen = (f'aiplat_gateway_replicas{{model="half",state="{state}"}}' for state in ("aside", "used"))
        return [balanced.metric(sample) for sample in seen] == [1, 1]

    assert eventually(shown)


def test_another_replica_answers_where_one_cannot(
    balanced: RunningGateway, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 500 before the first byte, as of an engine whose runner was killed; neither replica is set aside."""
    monkeypatch.setattr(engine, "broken", "twice")
    assert {ask(balanced, "twice", f"{n}" * 3000).status_code for n in range(6)} == {200}
    assert balanced.metric('aiplat_gateway_replicas{model="twice",state="aside"}') == 0


def test_an_engine_that_cannot_answer_counts_as_failed(
    balanced: RunningGateway, engine: Engine, second: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own words reach the client; usage does not call it done."""
    for one in (engine, second):
        monkeypatch.setattr(one, "broken", "twice")
    answer = ask(balanced, "twice")
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "runner was killed")
    labels = 'endpoint="/v1/chat/completions",model="twice",outcome="failed",status="500"'
    sample = f"aiplat_gateway_requests_total{{{labels}}}"
    assert eventually(lambda: balanced.metric(sample) == 1)


def test_an_answer_that_broke_off_is_not_asked_again(balanced: RunningGateway, engine: Engine) -> None:
    """After the first byte there is no second try and no fallback: the client would get two answers."""
    answer = ask(balanced, "breaks", stream=True)
    assert "upstream_failed" in answer.text
    assert len(engine.asked("/v1/chat/completions")) == 1


@pytest.mark.parametrize("model", ["down", "too-busy"])
def test_a_fallback_answers_for_a_model_that_cannot(
    balanced: RunningGateway, engine: Engine, model: str
) -> None:
    """In the order they are named, by their own name; who answered is told and counted."""
    sample = f'aiplat_gateway_fallbacks_total{{answered_by="twice",model="{model}"}}'
    before = balanced.metric(sample)
    answer = ask(balanced, model)
    assert answer.status_code == 200
    assert answer.headers["x-aiplat-model"] == "twice"
    assert answer.json()["model"] == "twice"
    assert balanced.metric(sample) == before + 1
    # The log says which request it was, by the id that the answer has.
    written = (balanced.folder / "log").read_text()
    assert f"request={answer.headers['x-aiplat-request-id']}\n" in written


def test_who_answers_itself_says_nothing_of_it(balanced: RunningGateway) -> None:
    """The header is there only when the model is another one."""
    assert "x-aiplat-model" not in ask(balanced, "twice").headers


def test_a_model_that_does_not_wake_is_503(balanced: RunningGateway) -> None:
    """After `hold_seconds`, with Retry-After."""
    answer = ask(balanced, "never")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_ready")
    assert int(answer.headers["retry-after"]) > 0


def test_requests_are_held_while_a_model_wakes(engine: Engine, tmp_path: Path) -> None:
    """They wait, are counted so that somebody wakes it, and are answered when it is there."""
    asleep = {"name": "asleep", "hold_seconds": 20}
    write_site_files(tmp_path, {"models": [asleep]})
    sample = 'aiplat_gateway_waiting{model="asleep"}'
    with running(tmp_path) as gateway, concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert gateway.metric('aiplat_gateway_asked_timestamp_seconds{model="asleep"}') == 0
        answers = [pool.submit(ask, gateway, "asleep") for _ in range(4)]
        assert eventually(lambda: gateway.metric(sample) == 4)
        awake = {**asleep, "url": engine.url}
        write_atomic(tmp_path / "models.json", json.dumps({"models": [awake]}).encode())
        assert {a.result(20).status_code for a in answers} == {200}
        assert gateway.metric(sample) == 0
        assert gateway.metric('aiplat_gateway_asked_timestamp_seconds{model="asleep"}') > 1.7e9


def test_who_leaves_while_waiting_is_counted_no_more(balanced: RunningGateway) -> None:
    """Otherwise a model would be woken for nobody."""
    sample = 'aiplat_gateway_waiting{model="asleep"}'
    with pytest.raises(Exception, match="timed out"), balanced.client() as client:
        client.post("/v1/completions", json={"model": "asleep"}, timeout=0.5)
    assert eventually(lambda: balanced.metric(sample) == 0)
