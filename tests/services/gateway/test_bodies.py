"""Request bodies: each limit is filled, each encoding undone, and what is sent on is what was understood."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard

from aiplat.services.bounds import JSON_DEPTH, JSON_VALUES, PROMPTS, SMALL_BYTES, UNPACKED_PIECE_BYTES
from aiplat.services.gateway.http.bodies import Memory, Unpacked, too_many_values, understood, written
from aiplat.services.gateway.http.encodings import Unpacker, WrongEncoding, encodings_of
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.requests.fields import CHAT, COMPLETIONS, answers, check_fields
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.upstream.document import RejectedFields, sent

MIB = 1 << 20
TEXT = json.dumps({"model": "m", "prompt": "héllo 😀 " * 5000}).encode()
PACKED = {
    "identity": TEXT,
    "gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.compress(TEXT[:1000]) + zstandard.compress(TEXT[1000:]),
    "gzip, br": brotli.compress(gzip.compress(TEXT)),
}
BOMB = b"0" * (40 * MIB)
BOMBS = {
    "gzip": gzip.compress(BOMB),
    "deflate": zlib.compress(BOMB),
    "br": brotli.compress(BOMB),
    "zstd": zstandard.compress(BOMB),
    "gzip, gzip": gzip.compress(gzip.compress(BOMB)),
}


def read(body: bytes) -> dict[str, Any]:
    """Return what a body is understood as."""
    return understood(body).document


def refused(status: int, act: Any, *given: Any) -> str:
    """Return the sentence that something is refused with, which must have this status."""
    with pytest.raises(ApiError) as caught:
        act(*given)
    assert caught.value.status == status
    return caught.value.message


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_a_packed_body_is_unpacked_however_it_comes(name: str, size: int) -> None:
    """Also several members in a row, and one encoding inside of another."""
    body = Unpacked(name.encode(), MIB)
    data = PACKED[name]
    for at in range(0, len(data), size):
        body.take(data[at : at + size])
    assert body.whole() == TEXT


@pytest.mark.parametrize("name", BOMBS)
def test_a_body_that_unfolds_is_cut_at_its_limit(name: str) -> None:
    """It never is in memory whole: every piece is small, and the limit counts what came of it."""
    body = Unpacked(name.encode(), MIB)
    assert "larger than 1 MiB" in refused(413, body.take, BOMBS[name])
    assert body.size <= 9 * MIB
    if name != "zstd":
        assert max(map(len, Unpacker(encodings_of(name)).feed(BOMBS[name]))) <= 2 * UNPACKED_PIECE_BYTES


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_packed_body_that_is_cut_or_wrong_is_refused(name: str) -> None:
    """Half of it is not taken for all of it."""
    half = Unpacked(name.encode(), MIB)
    half.take(PACKED[name][:50])
    refused(400, half.whole)
    refused(400, Unpacked(name.encode(), MIB).take, b"\xff\xfenothing like it" * 100)


def test_an_encoding_that_is_not_known_is_refused() -> None:
    """Those that are known are named; any number of layers is not offered."""
    assert "gzip, x-gzip, deflate, br, zstd" in refused(415, Unpacked, b"compress", MIB)
    refused(415, Unpacked, b"gzip, gzip, gzip", MIB)
    with pytest.raises(WrongEncoding):
        encodings_of("snappy")


@pytest.mark.parametrize("item", ["{}", "[]", '"ab"', "1", '{"a":1}', "null", "[[]]"])
def test_values_are_limited_whatever_they_are(item: str) -> None:
    """Within the limit of bytes they would take a hundred times their size; as text they are not values."""
    many = f'{{"model":"m","x":[{",".join([item] * (JSON_VALUES + 1))}]}}'.encode()
    assert f"more than {JSON_VALUES} values" in refused(413, read, many)
    text = json.dumps({"x": item * JSON_VALUES + "," * JSON_VALUES}).encode()
    assert read(text)["x"].startswith(item)


@pytest.mark.parametrize(
    "text",
    [r"a\\", r"a\"", r"\\\"", "", r"\u005c", '","b":"', "x" * 300_000, ",".join(['"a":"b"'] * 80)[5:-1]],
)
def test_values_are_counted_around_texts_however_these_end(text: str) -> None:
    """An escaped quote ends no text, an escaped backslash before one does; many texts hide nothing either."""
    many = f'{{"model":"{text}","x":[{"[]," * JSON_VALUES}0]}}'.encode()
    assert too_many_values(many)
    inside = f'{{"model":"{text}","x":"{"[]," * JSON_VALUES}"}}'.encode()
    assert not too_many_values(inside)


def test_texts_of_quotes_or_backslashes_alone_are_looked_through_quickly() -> None:
    """Each is looked at once: neither makes the search for a text's end begin again and again."""
    for mark in (r"\"", r"\\"):
        assert not too_many_values(b'{"x":"' + mark.encode() * 4 * MIB + b'"}')
        assert too_many_values(b'{"x":"' + mark.encode() * MIB + b'","y":[' + b"1," * JSON_VALUES + b"1]}")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_limited(opening: str, closing: str) -> None:
    """Also far beyond what a reader of JSON could follow; wide documents are not deep."""
    for depth in (JSON_DEPTH, 100_000):
        deep = f'{{"x":{opening * depth}1{closing * depth}}}'.encode()
        assert "nests" in refused(400, read, deep)
    shallow = f'{{"x":{opening * (JSON_DEPTH - 1)}1{closing * (JSON_DEPTH - 1)}}}'.encode()
    assert read(shallow)
    assert read(json.dumps({"x": [{}, []] * 500}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "a", "model": "b"}',
        b'{"options": {"num_predict": 1, "num_predict": 2}}',
        b'{"x": NaN}',
        b'{"x": -Infinity}',
        b'{"x": [1e999]}',
        b'{"x": -1' + b"0" * 400 + b".5}",
        b"[]",
        b'"text"',
        b"",
        b'{"x": "\xed\xa0\xbd"}',
        b"\xff\xfe{\x00}\x00",
        b'{"x": 1',
        b'{"x": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    """Keys that are there twice, numbers that are none, bytes that are not UTF-8."""
    refused(400, read, body)


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ude00\ud83d", r"\uD83Dx"])
def test_half_a_character_is_replaced_wherever_it_stands(half: str) -> None:
    """In keys and texts; a whole pair is its character."""
    body = f'{{"a{half}": ["x{half}", {{"y": "{half}"}}], "whole": "\\ud83d\\ude00"}}'.encode()
    again = json.loads(written(read(body)))
    assert "\ufffd" in str(again)
    assert again["whole"] == "😀"


def test_numbers_and_texts_are_sent_on_as_they_came() -> None:
    """Whole numbers of any length, small and large parts, control characters, lines of other scripts."""
    body = b'{"a":123456789012345678901234567890,"b":1e-7,"c":-0.0,"d":"\\u2028\\u0000\\"\\\\","e":0.1}'
    assert json.loads(written(read(body))) == json.loads(body)
    deep = json.loads("[" * 900 + "]" * 900)
    assert json.loads(written(deep)) == deep


@pytest.mark.parametrize(
    "document",
    [
        {"model": "a", "MODEL": "b"},
        {"Model": "a"},
        {"model": "a", "\u017ftream": True},
        {"model": "a", "\u212aeep_alive": 0},
        {"x": 1, "X": 2},
        {"options": {"Num_Predict": 5}},
        {"stream_options": {"INCLUDE_USAGE": False}},
        {"options": [1]},
        {"stream_options": "x"},
        *({"stream": value} for value in (1, 0, 1.0, "true", [], {})),
        *({"max_tokens": value} for value in ("5", True, 1.5, [5], 2**31)),
        *({"n": value} for value in ("2", False, 1e300)),
        {"options": {"num_predict": "9"}},
    ],
)
def test_what_an_engine_could_understand_otherwise_is_refused(document: dict[str, Any]) -> None:
    """Another spelling of a key, another type of a value that is decided by."""
    refused(400, check_fields, document)


@pytest.mark.parametrize(
    "document",
    [{"stream": None}, {"max_tokens": -1}, {"max_tokens": 5.0, "n": 1}, {"options": None}, {"Foo": 1}, {}],
)
def test_what_clients_usually_send_is_taken(document: dict[str, Any]) -> None:
    """A number with a point that is whole becomes one."""
    check_fields(document)
    assert type(document.get("max_tokens", 1)) is int


def test_answers_to_one_request_are_limited() -> None:
    """Prompts times `n`."""
    assert answers(COMPLETIONS, {"prompt": ["x"] * 100, "n": 3}) == 300
    refused(400, answers, COMPLETIONS, {"prompt": ["x"] * 101, "n": PROMPTS // 100})


def test_memory_is_shared_by_keys_and_small_requests_always_find_room() -> None:
    """One key fills its half and is refused; another's large one fits; when all is full a small one does."""
    memory = Memory(each=16 * MIB, together=96 * MIB)
    memory.hold("greedy", 0, 48 * MIB)
    assert "this API key" in refused(429, memory.hold, "greedy", 0, MIB)
    memory.hold("other", 0, 47 * MIB)
    refused(503, memory.hold, "third", 0, 2 * MIB)
    memory.hold("third", 0, SMALL_BYTES)
    memory.hold("greedy", 0, SMALL_BYTES)
    memory.hold("greedy", 48 * MIB, 0)
    memory.hold("third", SMALL_BYTES, 2 * MIB)
    for key, size in (("third", 2 * MIB), ("other", 47 * MIB), ("greedy", SMALL_BYTES)):
        memory.hold(key, size, 0)
    assert (memory.held, memory.by_key) == (0, {})


def test_a_request_weighs_what_it_takes_in_memory() -> None:
    """Many small values more than their bytes, wide characters four times theirs."""
    many = b'{"x":[' + b"{}," * 10_000 + b"{}]}"
    assert understood(many).weight > 10_000 * 100
    wide = json.dumps({"x": "a" * MIB + "😀"}, ensure_ascii=False).encode()
    assert understood(wide).weight > 4 * MIB
    plain = json.dumps({"x": "a" * MIB}).encode()
    assert understood(plain).weight < 2.1 * MIB


ENGINE = Model(name="m", url="http://10.0.0.1")
FAR = Model(name="m", url="https://far.example/v1").model_copy(update={"provider": "far"})
OPENAI = FAR.model_copy(update={"url": "https://api.openai.com/v1"})
MESSAGES = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        (ENGINE, {"max_completion_tokens": 5}, {"max_tokens": 5}),
        (ENGINE, {"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 5}),
        (ENGINE, {"max_tokens": -1}, {}),
        (FAR, {"max_completion_tokens": 5}, {"max_completion_tokens": 5, "max_tokens": 5}),
        (FAR, {"max_completion_tokens": 9, "max_tokens": 5}, {"max_completion_tokens": 5, "max_tokens": 5}),
        (FAR, {"max_tokens": 5}, {"max_tokens": 5}),
        (OPENAI, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    ],
)
def test_the_bound_that_was_set_aside_is_the_one_that_is_sent(
    model: Model, asked: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Under the name that the upstream reads."""
    document, _ = sent(model, CHAT, {"model": "x", **asked})
    assert document == {"model": "m", **expected}


def test_roles_and_calls_are_in_words_that_engines_know() -> None:
    """`developer` is `system` but for whom made it; a call without arguments has an empty object of them."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}
    messages = [*MESSAGES, {"role": "assistant", "tool_calls": [call]}]
    document, _ = sent(ENGINE, CHAT, {"messages": messages})
    assert [m["role"] for m in document["messages"]] == ["system", "user", "assistant"]
    assert document["messages"][2]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert sent(OPENAI, CHAT, {"messages": MESSAGES})[0]["messages"] == MESSAGES
    assert call["function"]["arguments"] == ""


def test_what_the_gateway_adds_is_named_and_can_be_left_out() -> None:
    """Usage is asked for in every stream, until an upstream was seen not to take it."""
    document, added = sent(FAR, CHAT, {"stream": True, "max_completion_tokens": 5})
    assert (document["stream_options"], added) == ({"include_usage": True}, {"stream_options", "max_tokens"})
    rejected = RejectedFields()
    rejected.learn(FAR, ["stream_options"])
    document, added = sent(FAR, CHAT, {"stream": True}, rejected.of(FAR))
    assert "stream_options" not in document
    assert not added
    own, added = sent(FAR, CHAT, {"stream": True, "stream_options": {"x": 1}})
    assert (own["stream_options"], added) == ({"x": 1, "include_usage": True}, set())
