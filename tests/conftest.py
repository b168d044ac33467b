from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The same examples in every run, so that what passes here passes there; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("fixed", derandomize=True, database=None)
settings.register_profile("search", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
