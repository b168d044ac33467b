from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from athanor.store import Store
from tests.live import Server

pytestmark = pytest.mark.weights


def test_every_route_but_health_and_openapi_needs_a_key(server: Server) -> None:
    routes = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert "/v1/chat/completions" in routes
    for path, methods in routes.items():
        if path == "/health":
            continue
        for method in methods:
            reply = httpx.request(method, f"{server.url}{path}")
            assert reply.status_code == 401, (method, path, reply.text)
            assert reply.json()["error"]["hint"]


def test_health_says_whether_the_models_are_loaded(server: Server) -> None:
    body = httpx.get(f"{server.url}/health").json()
    assert body["status"] in {"ready", "loading"}
    assert {"echo", "embedder"} <= set(body["models"])


def test_metrics_count_requests(server: Server) -> None:
    with server.client() as client:
        client.post("/v1/chat/completions", json={"model": "echo", "messages": [{"role": "user", "content": "x"}]})
        text = client.get("/metrics").text
    assert "# TYPE" in text
    assert "athanor_requests" in text


def test_a_user_may_ask_but_not_administer(server: Server) -> None:
    with server.client() as admin:
        made = admin.post("/api/keys", json={"name": "reader"}).json()
        user = {"authorization": f"Bearer {made['secret']}"}
        question = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
        assert httpx.post(f"{server.url}/v1/chat/completions", json=question, headers=user).status_code == 200
        for method, path, body in [
            ("POST", "/api/keys", {"name": "more"}),
            ("GET", "/api/keys", None),
            ("POST", "/api/knowledge/docs/sync", {"folder": "/"}),
            ("DELETE", "/v1/vector_stores/docs", None),
        ]:
            assert httpx.request(method, f"{server.url}{path}", json=body, headers=user).status_code == 403, path
        assert made["secret"] not in admin.get("/api/keys").text
        admin.delete(f"/api/keys/{made['id']}")
    assert httpx.post(f"{server.url}/v1/chat/completions", json=question, headers=user).status_code == 401


def test_another_principals_file_does_not_exist_for_a_user(server: Server) -> None:
    with server.client() as admin:
        file = admin.post("/v1/files", files={"file": ("a.txt", b"secret")}).json()["id"]
        secret = admin.post("/api/keys", json={"name": "stranger"}).json()["secret"]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {secret}"}) as user:
        theirs, missing = user.get(f"/v1/files/{file}"), user.get("/v1/files/file_nothing")
        assert theirs.status_code == missing.status_code == 404
        assert file not in user.get("/v1/files").text


def test_foreign_pages_and_rebound_names_are_refused(server: Server) -> None:
    assert httpx.get(f"{server.url}/health", headers={"host": "evil.example"}).status_code == 403
    assert httpx.get(f"{server.url}/health", headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(server: Server, declared: bool) -> None:
    blocks = [b" " * (1 << 20)] * 9
    with server.client() as client:
        reply = client.post("/v1/chat/completions", content=b"".join(blocks) if declared else iter(blocks))
    assert reply.status_code == 413
    assert "8 MiB" in reply.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": 1}', b"\xff\xfe", b'{"a":' * 5000])
def test_malformed_json_is_a_400_with_a_reason(server: Server, body: bytes) -> None:
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    reply = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]


def test_feedback_is_kept_for_a_trace_that_exists(server: Server) -> None:
    with server.client() as client:
        question = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
        trace = client.post("/v1/chat/completions", json=question).json()["athanor"]["trace"]
        verdict = {"trace": trace, "rating": -1, "comment": "wrong"}
        assert client.post("/api/feedback", json=verdict).status_code == 200
        assert client.post("/api/feedback", json={**verdict, "trace": "tr_none"}).status_code == 404
        assert client.post("/api/feedback", json={**verdict, "rating": 0}).status_code == 400


def test_an_old_version_of_a_document_can_still_be_read(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "gate.txt"
    texts = ["The gate opens at seven.", "The gate opens at nine."]
    for text in texts:
        file.write_text(text)
        assert server.ingest(tmp_path, "gates")["result"]["documents"] == 1
    with server.client() as client:
        (document,) = client.get("/api/knowledge/gates/documents").json()["data"]
        assert document["version"] == 2
        path = f"/api/documents/{document['id']}/text"
        assert [client.get(path, params={"version": v}).json()["text"] for v in (1, 2)] == texts
        assert client.get(path).json()["text"] == texts[1]
        assert client.get(path, params={"version": 3}).status_code == 404
        (tmp_path / "fence.txt").write_text("The fence is green.")  # an emptied folder would keep what it had
        file.unlink()
        assert server.ingest(tmp_path, "gates")["result"]["removed"] == 1
        assert client.get(path, params={"version": 1}).status_code == 404


def test_two_folders_in_one_base_leave_each_other_alone(server: Server, tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(f"The {name} gate is open.")
        server.ingest(tmp_path / name, "compass")
    with server.client() as client:
        sources = [d["source"] for d in client.get("/api/knowledge/compass/documents").json()["data"]]
    assert sources == ["north.txt", "south.txt"]


def test_what_is_done_is_in_the_audit_chain(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The mill has two wheels.")
    server.ingest(tmp_path, "audited")
    with server.client() as client:
        (document,) = client.get("/api/knowledge/audited/documents").json()["data"]
        client.delete(f"/api/documents/{document['id']}")
        base = client.delete("/v1/vector_stores/audited").json()["id"]
    store = Store.open(f"sqlite:///{server.home / 'athanor.db'}", blobs=server.home / "blobs")
    try:
        entries = store.audit.entries(limit=50)
        actions = {(entry.action, entry.subject) for entry in entries}
        assert {("knowledge.created", base), ("ingestion.started", base), ("knowledge.deleted", base)} <= actions
        assert ("document.deleted", document["id"]) in actions
        assert {entry.principal for entry in entries if entry.subject == base} == {principal(store)}
        assert not store.audit.verify()
    finally:
        store.close()


def principal(store: Store) -> str:
    return store.principals.get("local").id
