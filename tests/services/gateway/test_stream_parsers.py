"""Reading usage off a stream, however the network cuts it."""

from __future__ import annotations

import json

import pytest

from aiplat.services.bounds import LOOK_BYTES, MOST_COUNT
from aiplat.services.gateway.apis.calls import used
from aiplat.services.gateway.http.frames import whole_document
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.gateway.upstream.stream_parsers import (
    DocumentParser,
    JsonLinesParser,
    SseParser,
    StreamParser,
)

TEXT = b'data: {"choices":[{"text":"say \\"usage\\":{"}]}\n\n'
ZEROS = b'data: {"choices":[{"text":"x"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"details":{"cached":1}}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = TEXT + ZEROS + LAST + DONE


GUESS = TokenUsage(100, 1024, estimated=True)


def fed(parser: StreamParser, data: bytes, size: int) -> bytes:
    """Return what a parser passes on of data that comes in pieces of one size."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(parser.feed(piece) for piece in pieces) + parser.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_usage_is_read_and_taken_out_wherever_the_pieces_end(size: int) -> None:
    """Text that speaks of usage stays; the frame that only carries usage goes, as does usage in others."""
    parser = SseParser(strip=True)
    assert fed(parser, STREAM, size) == TEXT + b'data: {"choices":[{"text":"x"}]}\n\n' + DONE
    assert used(GUESS, parser) == TokenUsage(3, 2)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_who_asked_for_usage_gets_every_byte(size: int) -> None:
    """Without stripping nothing is changed."""
    parser = SseParser(strip=False)
    assert fed(parser, STREAM, size) == STREAM
    assert used(GUESS, parser) == TokenUsage(3, 2)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 11, 1000])
def test_lines_may_end_in_every_way_of_the_standard(end: bytes, size: int) -> None:
    """CR LF and CR alone, cut anywhere; also behind comments and other fields, and without a space."""
    parser = SseParser(strip=True)
    odd = b": ping\n\nid: 1\nevent: x\ndata:" + TEXT[6:] + b"retry: 9\n\n"
    data = (odd + STREAM).replace(b"\n", end)
    assert fed(parser, data, size).count(b"data:") == 4
    assert used(GUESS, parser) == TokenUsage(3, 2)


def test_a_stream_that_was_cut_is_charged_its_prompt_and_its_frames() -> None:
    """The zeros that come before the real count are not taken for it."""
    parser = SseParser(strip=True)
    fed(parser, TEXT + ZEROS, 9)
    assert used(GUESS, parser) == TokenUsage(100, 2, estimated=True)


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [{"text": "x", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]},
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}},
        {"choices": [{"text": "x"}], "usage": {"input_tokens": 3, "output_tokens": 2}},
        {"usage": {"completion_tokens": 2, "prompt_tokens": 3}, "choices": [{"text": "x" * 100_000}]},
    ],
)
def test_usage_is_found_where_providers_put_it(document: dict[str, object]) -> None:
    """In a choice, in a field of their own, under other names, in a long frame, in a document."""
    data = json.dumps(document).encode()
    for parser, text in ((SseParser(strip=False), b"data: " + data + b"\n\n"), (DocumentParser(), data)):
        assert fed(parser, text, 4096) == text
        assert used(GUESS, parser) == TokenUsage(3, 2)


@pytest.mark.parametrize("count", [-1, MOST_COUNT + 1, 10**25, int("9" * 4000), 1.5, True, "7", None, [1]])
def test_a_count_that_cannot_be_is_estimated(count: object) -> None:
    """Negative, beyond what any model writes, or no whole number."""
    usage = {
        "prompt_tokens": count,
        "completion_tokens": count,
        "prompt_eval_count": count,
        "eval_count": count,
    }
    for parser, document in (
        (DocumentParser(), {"choices": [], "usage": usage}),
        (JsonLinesParser(), {"done": True, **usage}),
    ):
        fed(parser, json.dumps(document).encode() + b"\n", 50)
        found = used(GUESS, parser)
        assert (found.prompt, found.estimated) == (100, True)
        assert 0 <= found.completion <= MOST_COUNT


def test_a_count_of_more_digits_than_are_read_is_estimated() -> None:
    """Reading it would raise."""
    parser = JsonLinesParser()
    fed(parser, b'{"done": true, "eval_count": ' + b"9" * 5000 + b"}", 100)
    assert used(GUESS, parser).prompt == 100


def test_a_frame_without_end_is_passed_on_rather_than_held() -> None:
    """What is held is bounded, and what came later is read again."""
    parser = SseParser(strip=True)
    out = b""
    for _ in range(600):
        out += parser.feed(b"x" * 1000)
        assert parser._buffer.size <= LOOK_BYTES + 1000
    assert len(out) >= 600 * 1000 - LOOK_BYTES - 1000
    assert parser.feed(b"\n\n" + LAST).endswith(b"\n\n")
    assert used(GUESS, parser) == TokenUsage(3, 2)


def test_the_counts_of_a_document_are_its_own() -> None:
    """Generated text that looks like counts is inside a string and does not match."""
    document = {
        "choices": [{"text": '"usage": {"prompt_tokens": 99}'}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
    }
    parser = DocumentParser()
    data = json.dumps(document).encode()
    assert fed(parser, data, 10) == data
    assert used(GUESS, parser) == TokenUsage(4, 1)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_usage_is_counted_wherever_it_stands_in_a_long_document(place: str) -> None:
    """Some servers write it before a megabyte of vectors; nothing of these is kept."""
    usage, vectors = {"usage": {"prompt_tokens": 4321, "total_tokens": 4321}}, [0.0123456] * 50_000
    parts = {"first": [usage, {"data": vectors}], "last": [{"data": vectors}, usage]}
    parts["middle"] = [{"data": vectors}, usage, {"more": vectors}]
    data = json.dumps({k: v for part in parts[place] for k, v in part.items()}).encode()
    for size in (1000, 65_536):
        parser = DocumentParser(writes=False)
        fed(parser, data, size)
        assert used(TokenUsage(100, 0, estimated=True), parser) == TokenUsage(4321, 0)
        assert parser._kept is None


def test_counts_inside_of_a_tool_call_are_not_the_answers() -> None:
    """Ollama gives arguments as objects, so a client could have the model write counts into them."""
    arguments = {"eval_count": 10**20, "prompt_eval_count": 0, "done": True}
    call = {"message": {"tool_calls": [{"function": {"name": "note", "arguments": arguments}}]}}
    lines = [{**call, "done": False}, {"message": {"content": "x"}, "done": False}]
    parser = JsonLinesParser()
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    assert fed(parser, data, 17) == data
    assert used(GUESS, parser) == TokenUsage(100, 2, estimated=True)
    long = {"message": {"content": "x" * 200_000, **call["message"]}, "done": True}
    for more, expected in (
        ({}, TokenUsage(100, 1, True)),
        ({"prompt_eval_count": 9, "eval_count": 201}, TokenUsage(9, 201)),
    ):
        parser = JsonLinesParser()
        fed(parser, json.dumps({**long, **more}).encode(), 5000)
        assert used(GUESS, parser) == expected
        assert len(parser._line) <= LOOK_BYTES


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b"{", b"[" + b"1," * 300_000 + b"1]"], ids=["deep", "cut", "wide"]
)
def test_an_answer_that_cannot_be_read_is_said_to(raw: bytes) -> None:
    """Depth is an engine's fault like any other: the answer broke off, the gateway did not fail."""
    with pytest.raises(ValueError, match=r"deeply|Expecting|too many"):
        whole_document(raw)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_words_that_speak_of_an_error_are_left_alone(size: int) -> None:
    """In a text, as a whole text, and where there is none; however the network cuts it."""
    stream = b'data: {"choices":[{"text":"say \\"error\\":"}]}\n\ndata: {"choices":[{"text":"error"}]}\n\n'
    stream += b'data: {"choices":[{"text":"x"}],"error":null}\n\n' + DONE
    assert fed(SseParser(strip=False), stream, size) == stream
