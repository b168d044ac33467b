"""The parts of a mail: its headers, its text, its pictures and what is attached to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from mimetypes import guess_extension
from pathlib import Path

from athanor.data.containers.mbox import unfold
from athanor.data.containers.names import clean_part

_MAX_PARTS = 10_000
_MAX_DEPTH = 30
_FIELDS = re.compile(rb"\A(?:[!-9;-~]{1,76}:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}", re.MULTILINE)
_KNOWN = (
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"received",
    b"mime-version",
    b"return-path",
    b"content-type",
)


def looks_like_mail(head: bytes, name: str) -> bool:
    """Whether a file that begins with `head` is a mail; by its headers, of which `.eml` needs fewer."""
    found = _FIELDS.match(head)
    if not found:
        return False
    fields = {line.partition(b":")[0].lower() for line in found[0].split(b"\n")}
    if name.lower().endswith(".eml"):
        return sum(field in fields for field in _KNOWN) >= 1
    return {b"from", b"date", b"message-id"} <= fields


def read_mail(path: Path) -> Message:
    """Parse the file. Damage is tolerated."""
    with path.open("rb") as file:
        return BytesParser(policy=compat32).parse(file)


def field(message: Message, name: str) -> str:
    """A header as one line of text; empty where there is none."""
    value = message.get(name)
    return "" if value is None else " ".join(unfold(str(value).encode("utf-8", "surrogateescape")).split())


def parts(message: Message) -> Iterator[tuple[int, Message]]:
    """The leaves in order, each with its number. A mail that is attached is a leaf."""
    stack, number = [(message, 0)], 0
    while stack and number < _MAX_PARTS:
        part, depth = stack.pop()
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list) and depth < _MAX_DEPTH:
            stack.extend((child, depth + 1) for child in reversed(inner) if isinstance(child, Message))
            continue
        yield number, part
        number += 1


def is_attachment(part: Message) -> bool:
    """Whether a leaf is a file of its own and no part of the text."""
    if part.get_content_disposition() == "attachment" or part.get_content_maintype() in {"application", "message"}:
        return part.get_content_type() not in {"application/pgp-signature", "application/pkcs7-signature"}
    kind = part.get_content_type()
    if kind in {"text/plain", "text/html", "text/calendar"}:
        return False
    return not kind.startswith(("image/", "multipart/"))


def content(part: Message) -> bytes:
    """The decoded bytes of a leaf."""
    inner = part.get_payload()
    if isinstance(inner, list):
        return b"".join(child.as_bytes() for child in inner if isinstance(child, Message))
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def file_name(part: Message, number: int) -> str:
    """A clean name for an attachment."""
    try:
        given = part.get_filename()
    except Exception:
        given = None
    if given:
        return clean_part(unfold(given))
    kind = part.get_content_type()
    ending = ".eml" if kind == "message/rfc822" else guess_extension(kind) or ".bin"
    return f"attachment {number + 1}{ending}"
