"""The page on the OWASP Top 10 names tests that exist, and leaves no item out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "concepts" / "owasp-llm-top-10.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ITEMS = {
    "LLM01": "Prompt Injection",
    "LLM02": "Sensitive Information Disclosure",
    "LLM03": "Excessive Agency",
    "LLM04": "Supply Chain",
    "LLM05": "Data and Model Poisoning",
    "LLM06": "Unbounded Consumption",
    "LLM07": "Misinformation",
    "LLM08": "Hidden Context Exposure",
    "LLM09": "Vector and Embedding Weaknesses",
    "LLM10": "Improper Output Handling",
}
"""Those of 2026."""


def section(item: str) -> str:
    found = re.search(rf"^## {item} {ITEMS[item]}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{item} is not on the page"
    return found[1]


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_says_what_is_done_shown_and_left(item: str) -> None:
    text = section(item)
    places = [text.find(f"**{heading}.**") for heading in ("What we do", "Shown by", "What remains")]
    assert -1 not in places
    assert places == sorted(places)
    assert len(NAMED.findall(text)) >= 3
    assert len(text[places[2] :].split()) > 10, "something always remains"


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    path = ROOT / file
    assert path.is_file()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}


def test_no_list_item_escapes_the_check() -> None:
    assert len(re.findall(r"^- `", PAGE, re.MULTILINE)) == len(NAMED.findall(PAGE))
