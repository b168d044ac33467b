"""Models: what is known about them, where their files come from, and proof that these are the right ones."""

from athanor.models.base import ResolvedEmbedder, ResolvedModel, ResolvedReranker, ResolvedTagger
from athanor.models.gguf import GGUFHeader, read_header
from athanor.models.memory import read_memory, write_memory
from athanor.models.packages import package_file
from athanor.models.prices import Listing, listing
from athanor.models.profiles import (
    ChatEntry,
    chat_entry,
    chat_names,
    resolve_embedder,
    resolve_reranker,
    resolve_tagger,
)
from athanor.models.sources import LOCAL_LACKS, Progress, resolve_chat
from athanor.models.verify import Verifier

__all__ = [
    "LOCAL_LACKS",
    "ChatEntry",
    "GGUFHeader",
    "Listing",
    "Progress",
    "ResolvedEmbedder",
    "ResolvedModel",
    "ResolvedReranker",
    "ResolvedTagger",
    "Verifier",
    "chat_entry",
    "chat_names",
    "listing",
    "package_file",
    "read_header",
    "read_memory",
    "resolve_chat",
    "resolve_embedder",
    "resolve_reranker",
    "resolve_tagger",
    "write_memory",
]
