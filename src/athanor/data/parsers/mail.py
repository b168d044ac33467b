"""Mails: headers, the best of their texts, quotations told apart, and the pictures that stand in them."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import Message
from pathlib import Path

from athanor.data.build import TextBuilder, stem
from athanor.data.encoding import normalise_newlines
from athanor.data.mail import content, field, file_name, is_attachment, parts, read_mail
from athanor.errors import DocumentError
from athanor.types import ParsedDocument, Picture

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_MAX_FIELD = 2000
_ENCRYPTED = frozenset(["multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"])
_ATTRIBUTION = re.compile(
    r"^(?:On|Am|Le|El|Op|Il) .{5,200}(?:wrote|schrieb|écrit|escribió|schreef|scritto)[^\n]{0,80}:$"
)
_ORIGINAL = re.compile(r"^(?:-{2,} ?(?:Original|Forwarded)|_{20,}$)", re.IGNORECASE)


class MailParser:
    """Plain text before HTML, as the sender's program meant it; a mail without text is its headers."""

    mimes: tuple[str, ...] = ("message/rfc822",)
    suffixes: tuple[str, ...] = (".eml",)

    def parse(self, path: Path, name: str) -> ParsedDocument:
        message = read_mail(path)
        warnings: list[str] = []
        out, pictures = TextBuilder(), []
        fields = [
            f"{label}: {field(message, label)[:_MAX_FIELD]}" for label in _SHOWN if message.get(label) is not None
        ]
        out.add("paragraph", "\n".join(fields))
        if encryption(message):
            warnings.append("The mail is encrypted: only its headers were read.")
            return out.build(
                title=field(message, "Subject") or stem(name), mime=self.mimes[0], warnings=tuple(warnings)
            )
        if message.get_content_type() == "multipart/signed":
            warnings.append("The mail is signed; the signature was not checked.")
        leaves = [(number, part) for number, part in parts(message) if part.get_content_disposition() != "attachment"]
        plain = [part for _, part in leaves if part.get_content_type() == "text/plain"]
        marked = [part for _, part in leaves if part.get_content_type() == "text/html"]
        texts = [_decoded(part, warnings) for part in plain]
        if any(text.strip() for text in texts):
            for text in texts:
                _add_plain(out, text)
        else:
            for part in marked:
                _add_html(out, part, name, warnings)
        for _, part in leaves:
            if part.get_content_type() == "text/calendar":
                out.add("code", _decoded(part, warnings))
        end = _length(out)
        for number, part in parts(message):
            if part.get_content_maintype() == "image":
                alt = file_name(part, number)
                pictures.append(Picture(start=end, mime=part.get_content_type(), data=content(part), alt=alt))
        held = [file_name(part, number) for number, part in parts(message) if is_attachment(part)]
        if held:
            out.add("list", "Attachments:\n" + "\n".join(f"- {entry}" for entry in held))
        if not fields and not held and end == 0:
            raise DocumentError("The mail has no text.", reason="no_text", where=name)
        title = field(message, "Subject") or stem(name)
        found = out.build(title=title[:200], mime=self.mimes[0], warnings=tuple(dict.fromkeys(warnings)))
        return replace(found, pictures=tuple(pictures))


def encryption(message: Message) -> bool:
    """Whether the text cannot be read. A PKCS #7 envelope that only signs can."""
    kind = message.get_content_type()
    return kind in _ENCRYPTED and str(message.get_param("smime-type") or "") != "signed-data"


def _length(out: TextBuilder) -> int:
    return len(out.build(title="-", mime="text/plain").text)


def _decoded(part: Message, warnings: list[str]) -> str:
    """The text of a part: by its declared encoding, else as UTF-8, else with damage marked."""
    data = content(part)
    for encoding in (str(part.get_content_charset() or "utf-8"), "utf-8"):
        try:
            return normalise_newlines(data.decode(encoding))
        except (LookupError, ValueError):
            continue
    warnings.append("Its text does not fit the encoding that it declares; some letters may be wrong.")
    return normalise_newlines(data.decode("cp1252", "replace"))


def _add_plain(out: TextBuilder, text: str) -> None:
    """Paragraphs; quoted replies, what is under a line of dashes, and the signature as quotes."""
    kind, lines = "paragraph", list[str]()
    rest = False
    for line in text.split("\n"):
        rest = rest or line.rstrip(" ") == "--" or bool(_ORIGINAL.match(line))
        quoted = rest or line.startswith(">") or bool(_ATTRIBUTION.match(line.strip()))
        now = "quote" if quoted else "paragraph"
        if not line.strip() or now != kind:
            out.add(kind, "\n".join(lines))
            lines.clear()
        kind = now
        if line.strip():
            lines.append(line.rstrip())
    out.add(kind, "\n".join(lines))


def _add_html(out: TextBuilder, part: Message, name: str, warnings: list[str]) -> None:
    from athanor.data.parsers.html import HtmlParser  # noqa: PLC0415 - most mails have plain text

    class _Bytes:
        """What the HTML reader asks of a path."""

        def read_bytes(self) -> bytes:
            return _decoded(part, warnings).encode("utf-8", "replace")

    try:
        found = HtmlParser().parse(_Bytes(), name)  # type: ignore[arg-type]
    except DocumentError as error:
        warnings.append(f"Its HTML could not be read: {error.message}")
        return
    for block in found.blocks:
        out.add(block.kind, found.text[block.start : block.end], block.level)
