from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Server

NOTES = {
    "warranty.md": (
        "# Warranty\n\nThe warranty of the Meridian pump ends 36 months after delivery. "
        "Seals and filters are excluded from the warranty.\n\n"
        "## Claims\n\nA claim is sent to claims@meridian.example within 14 days of the failure.\n"
    ),
    "travel.md": (
        "# Travel\n\nEmployees book trains through the Helsinki office. Flights over 900 euros need the approval of "
        "Ingrid Solberg.\n\n## Allowance\n\nThe daily allowance in Norway is 85 euros.\n"
    ),
    "kitchen.txt": "The coffee machine is descaled on the first Monday of every month. Oat milk is ordered by Rahul.\n",
}


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    for name, text in NOTES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, notes: Path) -> Iterator[Server]:
    live = Server(tmp_path_factory.mktemp("live") / "home").start()
    try:
        job = live.ingest(notes)
        assert job["state"] == "done", job
        yield live
    finally:
        live.stop()
