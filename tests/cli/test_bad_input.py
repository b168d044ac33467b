"""A folder full of trouble: one clear line for each bad file, and everything else is there to be asked about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.makers import make_docx, make_pdf, make_sparse, make_zip_bomb, paragraph, prose
from tests.live import Server

pytestmark = pytest.mark.weights

EXPECTED = {
    "bomb.docx": "unpack to 400 MiB",
    "elsewhere.txt": "out of the folder",
    "empty.md": "empty",
    "huge.bin": "MiB",
    "locked.pdf": "password",
    "noise.txt": "binary data",
    "torn.docx": "damaged",
}


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    folder = tmp_path / "trouble"
    folder.mkdir()
    outside = tmp_path / "outside.txt"
    outside.write_text("The launch code is 0000.")
    (folder / "good.md").write_text("# Orchard\n\nThe orchard has 412 pear trees.\n")
    (folder / "elsewhere.txt").symlink_to(outside)
    (folder / "empty.md").write_text("")
    (folder / "noise.txt").write_bytes(bytes(range(256)) * 40)
    make_pdf(folder / "locked.pdf", [prose(["Secret."])], password="hunter2")
    make_docx(folder / "torn.docx", paragraph("Lost."))
    whole = (folder / "torn.docx").read_bytes()
    (folder / "torn.docx").write_bytes(whole[: len(whole) // 2])
    make_zip_bomb(folder / "bomb.docx", megabytes=400)
    make_sparse(folder / "huge.bin", 300 << 20)
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    make_pdf(folder / "long.pdf", [prose([f"Page {n} speaks of topic {n}."]) for n in range(1, 2001)])
    return folder


def test_every_bad_file_gets_one_line_and_the_rest_is_ingested(trouble: Path, tmp_path: Path) -> None:
    server = Server(tmp_path / "home").start()
    try:
        result = server.run("ingest", str(trouble))
        assert result.returncode == 0, result.stderr
        lines = [line for line in result.stderr.splitlines() if line.startswith("✗")]
        assert sorted(line.split()[1].rstrip(":") for line in lines) == sorted(EXPECTED)
        for line in lines:
            name = line.split()[1].rstrip(":")
            assert EXPECTED[name].lower() in line.lower(), line
        assert "2 documents" in result.stderr
        assert "1 of other types skipped (.png)" in result.stderr

        found = server.run("ask", "How many pear trees does the orchard have?", "--json")
        answer = json.loads(found.stdout)
        assert "412" in answer["answer"]
        (page,) = [d for d in documents(server) if d["source"] == "long.pdf"]
        assert len(page["pages"]) == 2000
        hits = json.loads(server.run("kb", "search", "topic 1234", "--json", "--limit", "20").stdout)
        assert any("topic 1234." in hit["text"] for hit in hits)
        assert "0000" not in json.dumps(json.loads(server.run("kb", "search", "launch code", "--json").stdout))
    finally:
        server.stop()


def documents(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(server.run("kb", "documents", "docs", "--json").stdout)
    return found
