"""The vector index: exact where that is fast, approximate with exact cosines above, filtered by permission in both."""

from athanor.rag.vectors.files import Folder
from athanor.rag.vectors.graph import Stopped
from athanor.rag.vectors.live import LiveIndex, StaleError

__all__ = ["Folder", "LiveIndex", "StaleError", "Stopped"]
