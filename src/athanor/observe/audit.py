"""Who did what to what: the actions that go into the audit chain."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from athanor.store import Store
from athanor.types import AuditEntry, Principal


class Action(StrEnum):
    """What is audited. Programs match on these words, so they never change."""

    KEY_CREATED = "key.created"
    KEY_CHANGED = "key.changed"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    TEAM_CREATED = "team.created"
    TEAM_CHANGED = "team.changed"
    TEAM_DELETED = "team.deleted"
    GROUP_CREATED = "group.created"
    GROUP_CHANGED = "group.changed"
    GROUP_DELETED = "group.deleted"
    PRINCIPAL_MOVED = "principal.moved"
    LINK_CREATED = "link.created"
    LINK_USED = "link.used"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.ended"
    USER_CREATED = "user.created"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  a name
    ROLE_CHANGED = "principal.role_changed"
    SIGNED_IN = "sign_in.succeeded"
    SIGN_IN_FAILED = "sign_in.failed"
    KNOWLEDGE_CREATED = "knowledge.created"
    KNOWLEDGE_RENAMED = "knowledge.renamed"
    KNOWLEDGE_CHANGED = "knowledge.changed"
    KNOWLEDGE_DELETED = "knowledge.deleted"
    KNOWLEDGE_TUNED = "knowledge.tuned"
    KNOWLEDGE_ROLLED_BACK = "knowledge.rolled_back"
    QUESTIONS_CHANGED = "questions.changed"
    CONTEXTS_CHANGED = "contexts.changed"
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_ERASED = "document.erased"
    ERASURE_PROVEN = "erasure.proven"
    ACCESS_CHANGED = "access.changed"
    ATTRIBUTES_CHANGED = "attributes.changed"
    FILE_UPLOADED = "file.uploaded"
    FILE_DELETED = "file.deleted"
    SOURCE_ADDED = "source.added"
    SOURCE_REMOVED = "source.removed"
    INGESTION_STARTED = "ingestion.started"
    TRACES_EXPIRED = "traces.expired"
    GUARDS_CHANGED = "guards.changed"
    GUARDS_TRIED = "guards.tried"
    JOB_ASKED = "job.asked"
    JOB_CANCELLED = "job.cancelled"
    CLASSIFIER_TRAINED = "classifier.trained"
    REPLAY_ASKED = "replay.asked"
    ENCRYPTION_ENABLED = "encryption.enabled"
    ENCRYPTION_ROTATED = "encryption.rotated"
    MASTER_KEY_CHANGED = "encryption.master_changed"
    MANIFEST_SIGNED = "manifest.signed"
    SIGNER_TRUSTED = "signer.trusted"
    SIGNER_REMOVED = "signer.removed"
    SERVER_STARTED = "server.started"


SYSTEM = "system"
"""The principal of what nobody asked for."""


class AuditLog:
    """Appends to the chain."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(
        self,
        action: Action,
        *,
        by: Principal | None,
        subject: str,
        details: Mapping[str, Any] | None = None,
        conn: Connection | None = None,
    ) -> AuditEntry:
        """Append one entry; `by=None` is the system itself. Blocks until it is on disk.

        Args:
            subject: id of what was acted on.
            details: JSON; never a secret, never the text of a document.
            conn: the transaction of the action, so that neither is there without the other.

        Raises:
            InputError: `details` are not JSON.
            StoreError: the store refused it. Then the action must not go on either.
        """
        principal = SYSTEM if by is None else by.id
        return self._store.audit.append(
            principal=principal, action=action.value, subject=subject, details=details, conn=conn
        )
