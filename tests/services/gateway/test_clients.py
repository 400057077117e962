"""The real `openai` and `ollama` clients, over TLS, as `aiplat env` sets them up."""

from __future__ import annotations

import ollama
import openai
import pytest

from tests.services.gateway.conftest import KEY, MODEL, RunningGateway


@pytest.fixture
def openai_client(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> openai.OpenAI:
    """The client as a user makes it: everything from the environment."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{gateway.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(gateway.ca))
    return openai.OpenAI(max_retries=0)


@pytest.fixture
def ollama_client(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> ollama.Client:
    """The client as a user makes it: everything from the environment."""
    monkeypatch.setenv("OLLAMA_HOST", gateway.url)
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(gateway.ca))
    return ollama.Client()


def test_openai_streams_a_chat(openai_client: openai.OpenAI) -> None:
    """Chunk by chunk, with no usage that was not asked for."""
    chunks = list(
        openai_client.chat.completions.create(
            model="gemma3:270m", messages=[{"role": "user", "content": "1, 2, 3, 4,"}], stream=True
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == " 5, 6, 7"
    assert all(c.usage is None for c in chunks)


def test_openai_completes_lists_and_embeds(openai_client: openai.OpenAI) -> None:
    """The other calls of this version."""
    assert openai_client.completions.create(model=MODEL, prompt="1, 2, 3, 4,").choices[0].text == " 5, 6, 7"
    assert MODEL in [m.id for m in openai_client.models.list()]
    assert openai_client.models.retrieve("gemma3:270m").id == MODEL
    vector = (
        openai_client.embeddings.create(model=MODEL, input="x", encoding_format="float").data[0].embedding
    )
    assert vector == [0.5, -0.5]


def test_openai_raises_its_own_errors(openai_client: openai.OpenAI) -> None:
    """The client recognises what went wrong."""
    with pytest.raises(openai.NotFoundError, match="does not exist here") as missing:
        openai_client.completions.create(model="gpt-9", prompt="x")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        openai_client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.APIError, match="broke off"):
        list(openai_client.completions.create(model="breaks", prompt="x", stream=True))


def test_ollama_streams_a_chat(ollama_client: ollama.Client) -> None:
    """Line by line, with the counts in the last."""
    parts = list(
        ollama_client.chat(model="gemma3:270m", messages=[{"role": "user", "content": "x"}], stream=True)
    )
    assert "".join(p.message.content or "" for p in parts) == " 5, 6, 7"
    assert parts[-1].eval_count == 5


def test_ollama_lists_shows_and_embeds(ollama_client: ollama.Client) -> None:
    """The other calls of this version."""
    assert MODEL in [m.model for m in ollama_client.list().models]
    assert ollama_client.show("gemma3:270m").details
    assert list(ollama_client.embed(model=MODEL, input="x").embeddings[0]) == [0.5, -0.5]


def test_ollama_is_told_that_models_are_declared(ollama_client: ollama.Client) -> None:
    """Its own error type carries the sentence."""
    with pytest.raises(ollama.ResponseError, match="declared") as refused:
        ollama_client.pull("llama3")
    assert refused.value.status_code == 403
