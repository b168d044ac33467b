"""What `athanor doctor` finds on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from athanor.cli.client import Workspace
from athanor.cli.doctor import examine
from athanor.config import load_settings


def test_programs_that_are_missing_are_notes_and_no_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(lambda more: load_settings(None, arguments={"home": str(tmp_path), **more}))
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "git" else f"/usr/bin/{program}")
    found = {finding.what: finding for finding in examine(workspace)}
    assert found["repositories as sources"].level == "note"
    assert "install git" in found["repositories as sources"].mend
    assert found["text of scanned pages"].detail == "/usr/bin/tesseract"
