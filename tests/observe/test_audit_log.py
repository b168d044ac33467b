from __future__ import annotations

from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import Principal, RoleName


def test_who_did_what_to_what(store: Store) -> None:
    log = AuditLog(store)
    ada = Principal(id="pr_1", name="ada", role=RoleName.ADMIN, created_at=0.0)
    log.record(Action.KEY_REVOKED, by=ada, subject="key_1", details={"why": "lost"})
    log.record(Action.SERVER_STARTED, by=None, subject="server")
    newest, oldest = store.audit.entries()
    assert (oldest.principal, oldest.action, oldest.subject, oldest.details) == (
        "pr_1",
        "key.revoked",
        "key_1",
        {"why": "lost"},
    )
    assert newest.principal == "system"
    assert store.audit.verify() == []


def test_words_are_unique() -> None:
    assert len({action.value for action in Action}) == len(Action)
