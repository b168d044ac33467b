"""Knowledge: chunks, search, cited answers, grounding and ingestion."""

from athanor.rag.engine import ABSTENTION, AnswerSettings, KnowledgeEngine
from athanor.rag.indexes import Indexes
from athanor.rag.ingestion import Ingestion
from athanor.rag.knowledge import Counts, Knowledge
from athanor.rag.retrieve import Explanation, Retriever, Stage
from athanor.rag.tokens import estimate

__all__ = [
    "ABSTENTION",
    "AnswerSettings",
    "Counts",
    "Explanation",
    "Indexes",
    "Ingestion",
    "Knowledge",
    "KnowledgeEngine",
    "Retriever",
    "Stage",
    "estimate",
]
