"""Talking with a model through the real gateway."""

from __future__ import annotations

import pytest
from openai import OpenAI

from aiplat.actions.chat import Conversation, open_conversation
from aiplat.errors import AiplatError, BadInput
from tests.services.gateway.engine import Engine
from tests.verify.loopback import MODEL, Loopback


def test_a_base_model_is_asked_to_continue(healthy: Loopback) -> None:
    """The catalogue knows that it is not tuned for chat."""
    conversation = open_conversation(healthy.site, None, None)
    assert (conversation.model, conversation.mode) == ("gemma3:270m", "completion")
    assert list(conversation.ask("1, 2, 3, 4,")) == [" 5", ",", " 6", ",", " 7"]
    assert conversation.usage == {"prompt": 11, "completion": 5}
    assert conversation.said == []


def test_a_base_model_does_not_continue_for_ever() -> None:
    """It ends no text by itself, so an answer has a bound; a chat has one only where somebody asks for it."""
    with Engine() as engine:
        client = OpenAI(base_url=f"{engine.url}/v1", api_key="none")
        for mode, most in (("completion", None), ("completion", 7), ("chat", None), ("chat", 7)):
            list(Conversation("m", mode, client, max_tokens=most).ask("1, 2,"))
    bounds = {path: [b.get("max_tokens") for b in engine.asked(path)] for path, _ in engine.seen}
    assert bounds == {"/v1/completions": [128, 7], "/v1/chat/completions": [None, 7]}


def test_a_chat_remembers_what_was_said(healthy: Loopback) -> None:
    """Each turn carries those before it."""
    conversation = open_conversation(healthy.site, MODEL, "chat")
    list(conversation.ask("one"))
    list(conversation.ask("two"))
    assert [(turn["role"], turn["content"]) for turn in conversation.said] == [
        ("user", "one"),
        ("assistant", " 5, 6, 7"),
        ("user", "two"),
        ("assistant", " 5, 6, 7"),
    ]


def test_a_model_the_catalogue_does_not_know_is_asked_to_chat(healthy: Loopback) -> None:
    """A team's own model; the gateway says whether it is there."""
    conversation = open_conversation(healthy.site, "team/own", None)
    assert conversation.mode == "chat"
    with pytest.raises(AiplatError, match=r"model team/own: .*does not exist here"):
        list(conversation.ask("hello"))


def test_a_platform_that_does_not_answer_is_one_sentence(healthy: Loopback) -> None:
    """With what to do."""
    cluster = healthy.site.cluster.model_copy(update={"endpoint": "127.0.0.254"})
    conversation = open_conversation(healthy.site.model_copy(update={"cluster": cluster}), None, None)
    conversation.client = conversation.client.with_options(max_retries=0)
    with pytest.raises(AiplatError, match=r"127\.0\.0\.254/v1/: cannot be reached.*aiplat status"):
        list(conversation.ask("hello"))


def test_a_site_without_models_has_nobody_to_talk_with(healthy: Loopback) -> None:
    """Unless one is named."""
    empty = healthy.site.model_copy(update={"models": ()})
    with pytest.raises(BadInput, match="has no model to talk with"):
        open_conversation(empty, None, None)
    assert open_conversation(empty, "x", None).model == "x"
