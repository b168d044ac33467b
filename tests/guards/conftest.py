from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from athanor.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()
