"""The repository of knowledge bases and documents."""

from __future__ import annotations

from athanor.store.documents import Documents
from athanor.store.near import Near


class Knowledge(Documents, Near):
    """Knowledge bases (`bases`) and their documents (`lookup`, `documents`, `near`): one noun, in files for its size.

    Passages, search and vectors are in `Chunks`.
    """
