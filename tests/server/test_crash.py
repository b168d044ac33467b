"""A model's process killed in the middle of a stream: an error event for the caller, and the next request works."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.live import Server

pytestmark = pytest.mark.weights

SETTINGS = """
chat = "slow"

[models.slow]
source = "scripted:{script}"
backend = "scripted"
grounded = "extractive"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"process": True, "delay": 0.02}))
    live = Server(tmp_path / "home", settings=SETTINGS.format(script=script)).start()
    yield live
    live.stop()


def test_killed_in_the_middle_of_a_stream(server: Server) -> None:
    client = OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)
    question = " ".join(f"word{i}" for i in range(400))
    pieces: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        stream = client.chat.completions.create(
            model="slow", messages=[{"role": "user", "content": question}], stream=True
        )
        for chunk in stream:
            pieces.append(chunk.choices[0].delta.content or "")
            if len(pieces) == 20:
                with server.client() as http:
                    cards = {card["name"]: card for card in http.get("/api/models").json()["data"]}
                os.kill(cards["slow"]["pid"], signal.SIGKILL)
    assert 20 <= len(pieces) < 400
    assert "stopped in the middle of this answer" in str(caught.value)

    deadline = time.monotonic() + 30
    while True:
        try:
            reply = client.chat.completions.create(model="slow", messages=[{"role": "user", "content": "again"}])
            break
        except openai.APIStatusError as error:
            assert error.status_code == 503
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert reply.choices[0].message.content == "again"
    with server.client() as http:
        assert 'status="engine_crashed"' in http.get("/metrics").text
