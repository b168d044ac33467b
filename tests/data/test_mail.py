"""Mails: their texts, quotations and pictures, whatever the damage."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from athanor.data.containers.mails import MailContainer
from athanor.data.parsers.mail import MailParser
from athanor.types import ParsedDocument

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def mail(text: str | None = None) -> EmailMessage:
    found = EmailMessage()
    found["From"], found["To"], found["Subject"] = "Ann <ann@example.org>", "bob@example.org", "Müllers Angebot"
    found["Date"], found["Message-ID"] = "Mon, 02 Mar 2026 10:00:00 +0000", "<1@example.org>"
    if text is not None:
        found.set_content(text)
    return found


def read(folder: Path, data: bytes) -> ParsedDocument:
    path = folder / "a.eml"
    path.write_bytes(data)
    return MailParser().parse(path, "a.eml")


def of(document: ParsedDocument, kind: str) -> list[str]:
    return [document.text[b.start : b.end] for b in document.blocks if b.kind == kind]


def test_headers_text_and_quotations_are_told_apart(tmp_path: Path) -> None:
    body = "Yes, ten pounds.\n\nOn Sun, 1 Mar 2026, Bob wrote:\n> How much?\n> Soon?\n\nRegards\n-- \nAnn, Sales\n"
    found = read(tmp_path, mail(body).as_bytes())
    assert found.title == "Müllers Angebot"
    assert of(found, "paragraph")[0].split("\n")[0] == "From: Ann <ann@example.org>"
    assert "Subject: Müllers Angebot" in of(found, "paragraph")[0]
    assert of(found, "paragraph")[1:] == ["Yes, ten pounds.", "Regards"]
    assert of(found, "quote") == ["On Sun, 1 Mar 2026, Bob wrote:\n> How much?\n> Soon?", "--\nAnn, Sales"]


def test_plain_text_comes_before_html_which_is_read_where_it_is_alone(tmp_path: Path) -> None:
    both = mail("Plain words.")
    both.add_alternative("<p>Marked words.</p>", subtype="html")
    text = read(tmp_path, both.as_bytes()).text
    assert "Plain words." in text
    assert "Marked words." not in text
    alone = mail()
    alone.set_content("<h1>Offer</h1><p>Marked words.</p>", subtype="html")
    found = read(tmp_path, alone.as_bytes())
    assert of(found, "heading") == ["Offer"]
    assert "Marked words." in of(found, "paragraph")


@pytest.mark.parametrize("charset", ["us-ascii", "utf-8", "no-such"])
def test_a_wrong_charset_costs_letters_and_no_mail(tmp_path: Path, charset: str) -> None:
    head = f"From: a@b\nDate: x\nMessage-ID: <1>\nContent-Type: text/plain; charset={charset}\n\n".encode()
    assert "Grüße" in read(tmp_path, head + "Grüße".encode()).text
    found = read(tmp_path, head + "Grüße".encode("latin-1"))
    assert "Grüße" in found.text
    assert found.warnings == ("Its text does not fit the encoding that it declares; some letters may be wrong.",)


def test_a_mail_of_a_picture_only(tmp_path: Path) -> None:
    found = mail()
    found.set_content(PNG, maintype="image", subtype="png", filename="shot.png", disposition="inline")
    document = read(tmp_path, found.as_bytes())
    assert [(p.alt, p.mime, p.data) for p in document.pictures] == [("shot.png", "image/png", PNG)]
    assert 0 <= document.pictures[0].start <= len(document.text)


def test_attachments_are_named_in_the_text_and_are_members(tmp_path: Path) -> None:
    found = mail("See the files.")
    found.add_attachment(b"Ten.", maintype="application", subtype="octet-stream", filename="../Über.txt")
    found.add_attachment(mail("Inner."))
    document = read(tmp_path, found.as_bytes())
    assert "Inner." not in document.text
    opened = MailContainer().open(tmp_path / "a.eml", "a.eml", 10)
    entries = [entry for entry in opened.entries(None) if not isinstance(entry, float)]
    assert all("/" not in entry.name for entry in entries)
    assert b"".join(opened.read(entries[0].key)) == b"Ten."
    assert b"Inner." in b"".join(opened.read(entries[1].key))
    assert [line[2:] for line in of(document, "list")[0].split("\n")[1:]] == [entry.name for entry in entries]


def test_an_encrypted_mail_says_so(tmp_path: Path) -> None:
    head = b"From: a@b\nSubject: Secret\nContent-Type: multipart/encrypted; boundary=x\n\n--x\n\nabc\n--x--\n"
    document = read(tmp_path, head)
    assert "abc" not in document.text
    assert document.warnings == ("The mail is encrypted: only its headers were read.",)
