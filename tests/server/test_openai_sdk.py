"""The vendor's own SDK, unmodified, against a real server."""

from __future__ import annotations

import base64
import struct

import openai
import pytest
from openai import OpenAI

from tests.live import Server

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)


def test_chat_answers_with_annotations_that_point_into_answer_and_source(client: OpenAI, server: Server) -> None:
    question = [{"role": "user", "content": "When does the warranty of the Meridian pump end?"}]
    reply = client.chat.completions.create(model="docs", messages=question)  # type: ignore[call-overload]
    message = reply.choices[0].message
    assert "36 months" in message.content
    assert message.annotations
    for note in message.annotations:
        cited = note.citation  # type: ignore[attr-defined]
        spot = note.url_citation
        assert message.content[spot.start_index : spot.end_index] == cited["quote"]
        with server.client() as http:
            path = f"/api/documents/{cited['document']}/text"
            text = http.get(path, params={"version": cited["version"]}).json()["text"]
        assert text[cited["start"] : cited["end"]] == cited["quote"]
    assert reply.choices[0].finish_reason == "stop"


def test_streaming_gives_the_same_answer_and_its_annotations(client: OpenAI) -> None:
    question = [{"role": "user", "content": "Who approves flights over 900 euros?"}]
    whole = client.chat.completions.create(model="docs", messages=question)  # type: ignore[call-overload]
    text, notes, usage = "", [], None
    stream = client.chat.completions.create(  # type: ignore[call-overload]
        model="docs", messages=question, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            notes += getattr(choice.delta, "annotations", None) or []
    assert text == whole.choices[0].message.content
    assert "Ingrid Solberg" in text
    assert len(notes) == len(whole.choices[0].message.annotations)
    assert usage is not None


def test_a_question_that_the_documents_do_not_answer_is_not_answered(client: OpenAI) -> None:
    question = [{"role": "user", "content": "What is the boiling point of tungsten carbide?"}]
    reply = client.chat.completions.create(model="docs", messages=question)  # type: ignore[call-overload]
    assert reply.athanor["abstained"] is True
    assert not reply.choices[0].message.annotations


def test_a_plain_model_chats(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "one two three"}])
    assert reply.choices[0].message.content == "one two three"
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0


def test_upload_vector_store_search_and_delete(client: OpenAI) -> None:
    body = "The Quillback lighthouse was automated in 1987. Its lamp is replaced every nine years."
    file = client.files.create(file=("lighthouse.txt", body.encode()), purpose="user_data")
    assert client.files.content(file.id).read() == body.encode()
    store = client.vector_stores.create(name="lighthouses")
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=100)
    assert attached.status == "completed"
    assert client.vector_stores.retrieve(store.id).file_counts.completed == 1
    assert [entry.id for entry in client.vector_stores.files.list(store.id)] == [file.id]

    hits = list(client.vector_stores.search(store.id, query="When was the lighthouse automated?"))
    assert hits[0].file_id == file.id
    assert "1987" in hits[0].content[0].text

    question = [{"role": "user", "content": "When was the Quillback lighthouse automated?"}]
    reply = client.chat.completions.create(model="lighthouses", messages=question)  # type: ignore[call-overload]
    assert "1987" in reply.choices[0].message.content

    client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    assert list(client.vector_stores.search(store.id, query="When was the lighthouse automated?")) == []
    client.vector_stores.delete(store.id)
    client.files.delete(file.id)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_files_are_listed_page_by_page(client: OpenAI) -> None:
    made = [client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data").id for n in range(5)]
    listed = [file.id for file in client.files.list(limit=2)]
    assert set(made) <= set(listed)
    assert len(listed) == len(set(listed))
    for file in made:
        client.files.delete(file)


def test_an_unreadable_upload_fails_with_its_reason(client: OpenAI) -> None:
    file = client.files.create(file=("empty.txt", b""), purpose="user_data")
    store = client.vector_stores.create(name="broken")
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=100)
    assert attached.status == "failed"
    assert attached.last_error is not None
    assert "empty" in attached.last_error.message.lower()
    client.vector_stores.delete(store.id)


def test_embeddings_are_unit_vectors_in_both_encodings(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "docs" in names
    assert "echo" in names
    plain = client.embeddings.create(model="default", input=["a ship", "a boat", "tax law"], encoding_format="float")
    packed = client.embeddings.create(model="default", input=["a ship"], encoding_format="base64")
    ship, boat, law = (item.embedding for item in plain.data)
    raw = base64.b64decode(packed.data[0].embedding)  # type: ignore[arg-type]
    assert struct.unpack(f"<{len(ship)}f", raw) == pytest.approx(ship, abs=1e-4)
    assert sum(x * x for x in ship) == pytest.approx(1, abs=1e-3)
    assert sum(a * b for a, b in zip(ship, boat, strict=True)) > sum(a * b for a, b in zip(ship, law, strict=True))


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"model": "no-such-model"}, openai.NotFoundError),
        ({"model": "echo", "n": 2}, openai.BadRequestError),
        ({"model": "echo", "temperature": 9}, openai.BadRequestError),
        ({"model": "echo", "logit_bias": {"1": 2}}, openai.BadRequestError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_refused_with_a_reason(
    client: OpenAI, arguments: dict[str, object], kind: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=stream, **arguments)  # type: ignore[call-overload]
    assert caught.value.body["message"]  # type: ignore[index]


def test_a_wrong_key_opens_nothing(server: Server) -> None:
    stranger = OpenAI(base_url=f"{server.url}/v1", api_key="ath_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
