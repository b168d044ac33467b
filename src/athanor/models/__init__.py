"""Models: what is known about them, where their files come from, and proof that these are the right ones."""

from athanor.models.base import ResolvedEmbedder, ResolvedModel, ResolvedReranker
from athanor.models.gguf import GGUFHeader, read_header
from athanor.models.packages import package_file
from athanor.models.profiles import ChatEntry, chat_entry, chat_names, resolve_embedder, resolve_reranker
from athanor.models.sources import Progress, Wish, catalogue_wish, provisional_profile, resolve
from athanor.models.verify import Verifier

__all__ = [
    "ChatEntry",
    "GGUFHeader",
    "Progress",
    "ResolvedEmbedder",
    "ResolvedModel",
    "ResolvedReranker",
    "Verifier",
    "Wish",
    "catalogue_wish",
    "chat_entry",
    "chat_names",
    "package_file",
    "provisional_profile",
    "read_header",
    "resolve",
    "resolve_embedder",
    "resolve_reranker",
]
