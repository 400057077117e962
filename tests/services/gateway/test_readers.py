"""Reading usage off a stream, however the network cuts it."""

from __future__ import annotations

import json

import pytest

from aiplat.services.gateway.readers import SseReader, TailReader
from aiplat.services.gateway.usage import Usage

TEXT = b'data: {"choices":[{"text":"say \\"usage\\":{"}]}\n\n'
ZEROS = b'data: {"choices":[{"text":"x"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"details":{"cached":1}}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = TEXT + ZEROS + LAST + DONE


def fed(reader: SseReader, data: bytes, size: int) -> bytes:
    """Return what a reader passes on of data that comes in pieces of one size."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(reader.feed(piece) for piece in pieces) + reader.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_usage_is_read_and_taken_out_wherever_the_pieces_end(size: int) -> None:
    """Text that speaks of usage stays; the frame that only carries usage goes, as does usage in others."""
    reader = SseReader(strip=True)
    assert fed(reader, STREAM, size) == TEXT + b'data: {"choices":[{"text":"x"}]}\n\n' + DONE
    assert reader.usage() == Usage(3, 2)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_who_asked_for_usage_gets_every_byte(size: int) -> None:
    """Without stripping nothing is changed."""
    reader = SseReader(strip=False)
    assert fed(reader, STREAM, size) == STREAM
    assert reader.usage() == Usage(3, 2)


def test_frames_may_end_as_on_windows() -> None:
    """The standard allows CR LF."""
    reader = SseReader(strip=True)
    data = STREAM.replace(b"\n", b"\r\n")
    assert fed(reader, data, 11).count(b"data:") == 3
    assert reader.usage() == Usage(3, 2)


def test_a_stream_that_was_cut_is_estimated_by_its_frames() -> None:
    """The zeros that come before the real count are not taken for it."""
    reader = SseReader(strip=True)
    fed(reader, TEXT + ZEROS, 9)
    assert reader.usage() == Usage(completion=2, estimated=True)


def test_a_frame_without_end_is_passed_on_rather_than_held() -> None:
    """What is held is bounded: after 4 MiB without an end of frame the bytes go through."""
    reader = SseReader(strip=True)
    out = b"".join(reader.feed(b"x" * (1 << 20)) for _ in range(6))
    assert len(out) >= 5 << 20


def test_the_counts_of_a_document_are_its_last() -> None:
    """Generated text that looks like counts is inside a string and does not match."""
    document = {
        "choices": [{"text": '"prompt_tokens": 99'}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
    }
    reader = TailReader()
    data = json.dumps(document).encode()
    assert b"".join(reader.feed(data[at : at + 10]) for at in range(0, len(data), 10)) == data
    assert reader.usage() == Usage(4, 1)


def test_a_long_document_is_not_kept() -> None:
    """Only the tail is held, and the counts are in it."""
    reader = TailReader()
    reader.feed(b'{"data": "' + b"x" * (1 << 20))
    reader.feed(b'", "prompt_eval_count": 7}')
    assert reader.usage() == Usage(7, 0)
    assert len(reader._tail) <= 64 << 10
