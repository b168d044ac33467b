"""The tables, as SQLAlchemy sees them. Migrations create them; a test fails when the two disagree.

Times are Unix seconds. Ids are text (see `athanor.types.ids`); `seq` columns are integers that never leave
this package. Rows about what happened (requests, spans, feedback, audit) name a principal without a foreign
key, because they outlive it.

The text index is not in the metadata, because it differs: SQLite keeps one FTS5 table for each knowledge base,
made together with it (see `text_sqlite`), PostgreSQL the table `chunk_words` (see `text_postgresql`).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_JSON = JSON().with_variant(JSONB(), "postgresql")
# SQLite's only self-numbering key is INTEGER; PostgreSQL's INTEGER would end at 2^31.
_SEQ = BigInteger().with_variant(Integer(), "sqlite")

teams = Table(
    "teams",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("limits", _JSON, nullable=False),
    Column("created_at", Double, nullable=False),
)

principals = Table(
    "principals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("team", ForeignKey("teams.id")),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("labels", _JSON, nullable=False),
    Column("created_at", Double, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("group", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("principal", ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True, index=True),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal", ForeignKey("principals.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("scopes", _JSON, nullable=False, server_default=text("'{}'")),
    Column("limits", _JSON, nullable=False, server_default=text("'{}'")),
    Column("record_content", Boolean, nullable=False, server_default=text("FALSE")),
    Column("replaced_by", Text),
)

links = Table(
    "links",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("principal", ForeignKey("principals.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("principal", ForeignKey("principals.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("seen_at", Double),
    Column("way", Text, nullable=False, server_default=text("'link'")),
    Column("agent", Text, nullable=False, server_default=text("''")),
    Column("address", Text, nullable=False, server_default=text("''")),
)

users = Table(
    "users",
    metadata,
    Column("principal", ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    Column("password", Text),
    Column("issuer", Text),
    Column("subject", Text),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double),
    Column("disabled_at", Double),
    UniqueConstraint("issuer", "subject"),
)

# Failed sign-ins by whom they count for: an account, an address, or both; by hash, so that a password typed into the
# wrong field is not kept.
attempts = Table(
    "attempts",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("at", Double, nullable=False, index=True),
)

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
)

knowledge_bases = Table(
    "knowledge_bases",
    metadata,
    Column("seq", _SEQ, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("embedder", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("documents", BigInteger, nullable=False, server_default="0"),
    Column("chunks", BigInteger, nullable=False, server_default="0"),
    # Of all chunks, for their average length. Kept by the index of PostgreSQL; FTS5 has its own.
    Column("words", BigInteger, nullable=False, server_default="0"),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("metadata", _JSON, nullable=False, server_default=text("'{}'")),
    Column("expires_after", Integer),
    Column("last_active_at", Double),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("rules", _JSON, nullable=False, server_default=text("'[]'")),
)

# A row for each different way in which documents of a base are closed. Class 0, open to all, has no row.
access_classes = Table(
    "access_classes",
    metadata,
    Column("seq", _SEQ, primary_key=True),
    Column("base", ForeignKey("knowledge_bases.seq"), nullable=False),
    # Canonical JSON of an `Access`, as text: it is what makes two the same.
    Column("access", Text, nullable=False),
    UniqueConstraint("base", "access"),
    # A class is never given to another access, so that a view from before cannot mistake the two.
    sqlite_autoincrement=True,
)

documents = Table(
    "documents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("base", ForeignKey("knowledge_bases.seq"), nullable=False),
    Column("source", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("text_sha256", Text, index=True),
    Column("title", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("pages", _JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Column("chunks", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("file", Text),
    Column("origin", Text, nullable=False),
    # An access class, or 0. No foreign key: 0 has no row.
    Column("access", BigInteger, nullable=False, server_default="0"),
    Column("attributes", _JSON, nullable=False, server_default=text("'{}'")),
    Column("container", Text),
    Column("stamp", Text, nullable=False, server_default=text("''")),
    Column("near", Text),
    # Of its chunks, so that the average length of those that a reader sees is a sum over documents.
    Column("words", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("base", "source"),
    Index("ix_documents_base_access", "base", "access"),
    Index("ix_documents_base_container", "base", "container"),
    Index("ix_documents_base_near", "base", "near"),
)

pictures = Table(
    "pictures",
    metadata,
    Column("document", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("mime", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("alt", Text, nullable=False),
)

document_versions = Table(
    "document_versions",
    metadata,
    Column("document", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("text_sha256", Text, nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("pages", _JSON, nullable=False),
    Column("created_at", Double, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("seq", _SEQ, primary_key=True),
    Column("base", ForeignKey("knowledge_bases.seq"), nullable=False),
    Column("id", Text, nullable=False),
    # No cascade: a chunk may only go together with its row in the text index.
    Column("document", ForeignKey("documents.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("page", Integer),
    Column("heading", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # Its document's, here as well so that both legs can filter without a join.
    Column("access", BigInteger, nullable=False, server_default="0"),
    Column("place", Text, nullable=False, server_default=text("''")),
    Column("line", Integer),
    Column("context", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("base", "id"),
    UniqueConstraint("document", "ordinal"),
    Index("ix_chunks_base_revision", "base", "revision"),
    Index("ix_chunks_base_access", "base", "access"),
)

vectors = Table(
    "vectors",
    metadata,
    # Apart from the text, so that filling a matrix reads vectors only.
    Column("chunk", ForeignKey("chunks.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

knowledge_versions = Table(
    "knowledge_versions",
    metadata,
    Column("base", ForeignKey("knowledge_bases.seq"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("settings", _JSON, nullable=False),
    Column("figures", _JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("base", ForeignKey("knowledge_bases.seq"), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("relevant", _JSON, nullable=False),
    Column("answer", Text, nullable=False),
    Column("origin", Text, nullable=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("base", ForeignKey("knowledge_bases.seq"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("questions", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("figures", _JSON, nullable=False),
    Column("details", _JSON, nullable=False),
)

deletions = Table(
    "deletions",
    metadata,
    Column("base", ForeignKey("knowledge_bases.seq"), primary_key=True, autoincrement=False),
    # Of the name of the source, which may itself be what had to go.
    Column("source_sha256", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)

# One for each document with words, by which those that are nearly the same are found (see `near`).
signatures = Table(
    "signatures",
    metadata,
    Column("seq", _SEQ, primary_key=True),
    Column("base", ForeignKey("knowledge_bases.seq"), nullable=False, index=True),
    Column("document", ForeignKey("documents.id"), nullable=False, unique=True),
    Column("data", LargeBinary, nullable=False),
    # Who is older is told by it, so that a number may not be given twice.
    sqlite_autoincrement=True,
)

signature_bands = Table(
    "signature_bands",
    metadata,
    Column("base", ForeignKey("knowledge_bases.seq"), primary_key=True, autoincrement=False),
    Column("band", BigInteger, primary_key=True, autoincrement=False),
    # No foreign key: deleting a signature would look through the whole table for its bands.
    Column("signature", BigInteger, primary_key=True, autoincrement=False),
)

sync_sources = Table(
    "sync_sources",
    metadata,
    Column("base", ForeignKey("knowledge_bases.seq"), primary_key=True, autoincrement=False),
    Column("origin", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("every", Double),
    Column("synced_at", Double),
    Column("state", Text, nullable=False),
    Column("job", Text),
    Column("principal", Text),
    Column("prefix", Text, nullable=False, server_default=text("''")),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=text("''")),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("arguments", _JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("total", BigInteger, nullable=False, server_default="0"),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("failed", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Double),
    Column("message", Text, nullable=False),
    Column("result", _JSON, nullable=False),
    Index("ix_jobs_state_created_at", "state", "created_at"),
)

job_items = Table(
    "job_items",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# The ledger: one row for each request.
requests = Table(
    "requests",
    metadata,
    Column("trace", Text, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("door", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("first_token", Double),
    Column("cost", Double, nullable=False),
    Column("written_tokens", BigInteger, nullable=False, server_default="0"),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default="0"),
    Column("duration", Double, nullable=False, server_default="0"),
    Column("key", Text),
    Column("team", Text),
    Column("target", Text, nullable=False, server_default=text("''")),
    Column("cache", Text, nullable=False, server_default=text("''")),
    Column("saved", Double, nullable=False, server_default="0"),
    Index("ix_requests_principal_at", "principal", "at"),
)

# All spans of a trace in one row: they are written and read together, and a row for each would cost ten times as much.
traces = Table(
    "traces",
    metadata,
    Column("trace", Text, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("spans", Text, nullable=False),
)

contents = Table(
    "contents",
    metadata,
    Column("trace", Text, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("request", Text, nullable=False),
    Column("answer", Text, nullable=False),
)

responses = Table(
    "responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal", Text, nullable=False),
    Column("previous", Text),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("body", _JSON, nullable=False),
    Column("items", _JSON, nullable=False),
)

cache_shadows = Table(
    "cache_shadows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("route", Text, nullable=False),
    Column("embedder", Text, nullable=False),
    Column("similarity", Double, nullable=False),
    Column("same", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_cache_shadows_route_embedder", "route", "embedder"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Text, primary_key=True),
    Column("trace", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("rating", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", Double, nullable=False, index=True),
    UniqueConstraint("trace", "principal"),
    CheckConstraint("rating IN (-1, 1)", name="rating"),
)

# What guards found. Never the text: `digest` is a keyed hash of the characters that a finding spans.
guard_events = Table(
    "guard_events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("trace", Text, nullable=False, index=True),
    Column("principal", Text, nullable=False),
    Column("key", Text),
    Column("door", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("base", Text),
    Column("guard", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("decision", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_guard_events_at", "at", "id"),
)

# What pseudonyms stand for; values are sealed. A vault is one conversation of one principal, by a keyed hash.
pseudonyms = Table(
    "pseudonyms",
    metadata,
    Column("vault", Text, primary_key=True),
    Column("pseudonym", Text, primary_key=True),
    Column("principal", Text, nullable=False, index=True),
    Column("value", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("used_at", Double, nullable=False, index=True),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", _SEQ, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("principal", Text, nullable=False),
    Column("action", Text, nullable=False, index=True),
    Column("subject", Text, nullable=False),
    # Canonical JSON as text, not JSON: the hash covers these very characters.
    Column("details", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
)

# Keys of the data, wrapped by the master key, which is elsewhere.
data_keys = Table(
    "data_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("master", Text, nullable=False),
    Column("wrapped", Text, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("retired_at", Double),
)

BLOB_REFERENCES = (
    files.c.sha256,
    documents.c.sha256,
    documents.c.text_sha256,
    document_versions.c.sha256,
    document_versions.c.text_sha256,
    pictures.c.sha256,
)
"""Columns that keep a blob alive."""
