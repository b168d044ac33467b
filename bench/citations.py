"""Does every printed citation hold? `source_text[start:end] == quote`, over many questions, in both modes.

    ATHANOR_DATA=... python bench/citations.py [--quick] [--json] [--questions 500]

Ingests the SQuAD passages (retrieval/disflqa_squad_dev.jsonl) as one file each into a server of its own, asks every
question through the command line's own path (`POST /v1/chat/completions`, the object of `athanor ask --json`), fetches
the source text of each cited document at the cited version, and compares. `--quick`: 20 questions, 100 passages.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from athanor.cli.ask import whole  # noqa: E402
from athanor.cli.client import Client  # noqa: E402
from tests.live import Server  # noqa: E402


def read(data: Path, passages: int | None) -> tuple[list[str], list[str]]:
    """Distinct passages, and questions whose passage is among them."""
    rows = [json.loads(line) for line in (data / "retrieval/disflqa_squad_dev.jsonl").read_text().splitlines()]
    distinct = list(dict.fromkeys(row["passage"] for row in rows))[:passages]
    kept = set(distinct)
    return distinct, [row["question"] for row in rows if row["passage"] in kept]


def ask_all(server: Server, questions: list[str], mode: str) -> dict[str, Any]:
    client = Client(server.url, server.key)
    texts: dict[tuple[str, int], str] = {}

    def source(document: str, version: int) -> str:
        if (document, version) not in texts:
            texts[document, version] = client.get(f"/api/documents/{document}/text", version=version)["text"]
        return texts[document, version]

    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: whole(client, "docs", text, mode), questions))
    seconds = time.perf_counter() - began
    citations = [note for answer in answers for note in answer["citations"]]
    wrong = [n for n in citations if source(n["document"], n["version"])[n["start"] : n["end"]] != n["quote"]]
    answered = [a for a in answers if not a["abstained"]]
    return {
        "mode": mode,
        "questions": len(questions),
        "answered": len(answered),
        "citations": len(citations),
        "wrong": len(wrong),
        "uncited_answers": sum(not a["citations"] for a in answered),
        "written_by_the_model": sum(a["mode"] == "generative" for a in answered),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--questions", type=int, default=500)
    options = parser.parse_args()
    if "ATHANOR_DATA" not in os.environ:
        raise SystemExit("Set ATHANOR_DATA to the folder of evaluation data.")
    passages, questions = read(Path(os.environ["ATHANOR_DATA"]), 100 if options.quick else None)
    questions = questions[: 20 if options.quick else options.questions]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, text in enumerate(passages):
            (corpus / f"{number:04d}.txt").write_text(text, encoding="utf-8")
        server = Server(Path(folder) / "home", settings="").start()
        try:
            server.ingest(corpus, timeout=1200)
            results = [ask_all(server, questions, mode) for mode in ("extractive", "generative")]
        finally:
            server.stop()
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for row in results:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
