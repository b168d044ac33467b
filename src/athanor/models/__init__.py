"""Models: what is known about them, where their files come from, and proof that these are the right ones."""

from athanor.models.base import ResolvedEmbedder, ResolvedModel, ResolvedReranker
from athanor.models.packages import package_file
from athanor.models.profiles import ChatEntry, chat_entry, chat_names, resolve_embedder, resolve_reranker
from athanor.models.verify import Verifier

__all__ = [
    "ChatEntry",
    "ResolvedEmbedder",
    "ResolvedModel",
    "ResolvedReranker",
    "Verifier",
    "chat_entry",
    "chat_names",
    "package_file",
    "resolve_embedder",
    "resolve_reranker",
]
