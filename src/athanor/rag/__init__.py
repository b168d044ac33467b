"""Knowledge: chunks, search, cited answers, grounding and ingestion."""

from athanor.rag.engine import ABSTENTION, AnswerSettings, KnowledgeEngine
from athanor.rag.ingestion import Ingestion
from athanor.rag.knowledge import Counts, Knowledge
from athanor.rag.retrieve import Retriever

__all__ = ["ABSTENTION", "AnswerSettings", "Counts", "Ingestion", "Knowledge", "KnowledgeEngine", "Retriever"]
