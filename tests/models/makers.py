"""Small GGUF files, good and bad."""

from __future__ import annotations

import struct


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def gguf(*, context: int = 4096, template: bool = True, extra: tuple[bytes, ...] = (), version: int = 3) -> bytes:
    pairs = [
        pair("general.architecture", 8, text("llama")),
        pair("general.name", 8, text("Tiny Test")),
        pair("general.license", 8, text("mit")),
        pair("llama.context_length", 4, struct.pack("<I", context)),
        pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("b") + text("ü")),
        pair("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + bytes(12)),
        *extra,
    ]
    if template:
        pairs.append(pair("tokenizer.chat_template", 8, text("{{ messages }}")))
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs)) + b"".join(pairs)
