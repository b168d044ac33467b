"""Requests made from our own API description, right and wrong ones: no 5xx, and refusals in the documented shape."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.transport import Response as Answer

from tests.live import Server

SETTINGS = """
chat = "echo"

[server]
max_body_mb = 8
max_request_mb = 8

[models.echo]
source = "scripted:"
backend = "scripted"
grounded = "extractive"
"""
ROLES = ("admin", "developer", "user", "auditor")
pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("fuzzed") / "home", settings=SETTINGS).start()
    try:
        yield server
    finally:
        server.stop()


def secrets(server: Server, roles: tuple[str, ...]) -> dict[str, str]:
    with server.client() as admin:
        made = {
            role: admin.post("/api/keys", json={"name": f"fuzz {role} {uuid4().hex}", "role": role}) for role in roles
        }
        return {role: reply.json()["secret"] for role, reply in made.items()}


def harmless(case: schemathesis.Case) -> None:
    """What reaches outside the server gets something that is not there."""
    if case.path.endswith("/sync") and isinstance(case.body, dict):
        case.body["folder"] = "/nowhere/at/all"


def shaped(answer: Answer) -> bool:
    """Is a refusal in the shape that the documentation promises: OpenAI's, or Anthropic's at its doors."""
    body = answer.json()
    error = body["error"]
    return (
        bool(error["message"]) and isinstance(error["type"], str) and (body.get("type") == "error" or "code" in error)
    )


def check(case: schemathesis.Case, answer: Answer) -> None:
    said = f"{case.method} {case.formatted_path} → {answer.status_code}: {answer.text[:500]}"
    assert answer.status_code < 500, said
    if answer.status_code >= 400 and case.method != "HEAD":
        assert shaped(answer), said
    elif answer.headers.get("content-type", [""])[0].startswith("application/json"):
        answer.json()


def attack(server: Server, secret: str, *, examples: int) -> int:
    """Every operation of the API, so many examples each; how many were sent."""
    sent = 0
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    headers = {"authorization": f"Bearer {secret}"}
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(3)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy() | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
        )
        def one(case: schemathesis.Case) -> None:
            nonlocal sent
            harmless(case)
            sent += 1
            check(case, case.call(base_url=server.url, headers=headers, timeout=30))

        one()
    return sent


def alive(server: Server) -> bool:
    return httpx.get(f"{server.url}/health").status_code == 200


def test_a_few_requests_to_every_operation(live: Server) -> None:
    for secret in secrets(live, ("admin",)).values():
        assert attack(live, secret, examples=2) > 0
    assert alive(live)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_many_requests_to_every_operation(live: Server, role: str) -> None:
    [secret] = secrets(live, (role,)).values()
    assert attack(live, secret, examples=60) > 0
    assert alive(live)
