"""The repository of knowledge bases and documents."""

from __future__ import annotations

from athanor.store.documents import Documents


class Knowledge(Documents):
    """Knowledge bases (`bases`) and their documents (`lookup`, `documents`): one noun, three files for their size.

    Passages, search and vectors are in `Chunks`.
    """
