from __future__ import annotations

import contextlib
from pathlib import Path

import docx
import pytest

from athanor.data import zipguard
from athanor.errors import DocumentError
from tests.data.makers import make_docx, make_zip_bomb, paragraph
from tests.data.makers_office import PNG
from tests.data.reading import outline, read


def test_what_python_docx_writes_is_read_back(tmp_path: Path) -> None:
    made = docx.Document()
    made.add_heading("The title", 0)
    made.add_heading("Intro", 1)
    made.add_paragraph("Para one.")
    made.add_paragraph("point", style="List Bullet")
    made.add_paragraph("first", style="List Number")
    made.add_paragraph("second", style="List Number")
    table = made.add_table(2, 3)
    for column, name in enumerate("ABC"):
        table.cell(0, column).text = name
    table.cell(1, 0).merge(table.cell(1, 1)).text = "merged"
    table.cell(1, 2).text = "end"
    made.add_heading("Sub", 2)
    made.add_paragraph("Words.", style="Quote")
    made.save(str(tmp_path / "a.docx"))
    document = read(tmp_path / "a.docx")
    assert document.title == "The title"
    assert outline(document) == [
        ("h1", "The title"),
        ("h1", "Intro"),
        ("paragraph", "Para one."),
        ("list", "- point\n1. first\n2. second"),
        ("table", "A | B | C\nmerged | end"),
        ("h2", "Sub"),
        ("quote", "Words."),
    ]


def test_links_insertions_controls_boxes_and_notes_are_kept_and_deletions_are_not(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>".format
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
    body = (
        f"<w:p><w:hyperlink>{run('link')}</w:hyperlink><w:ins>{run(' new')}</w:ins><w:del><w:r>"
        f"<w:delText>old</w:delText></w:r></w:del><w:moveFrom>{run('moved')}</w:moveFrom>"
        "<w:r><w:footnoteReference w:id='2'/></w:r></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('control')}</w:sdtContent></w:sdt>"
        f"<w:p {mc}>{run('around')}<mc:AlternateContent><mc:Choice><w:r>{box}</w:r></mc:Choice>"
        f"<mc:Fallback><w:r>{box}</w:r></mc:Fallback></mc:AlternateContent></w:p>"
    )
    note = f"<w:root><w:footnote w:id='2'>{paragraph('the note')}</w:footnote></w:root>"
    document = read(make_docx(tmp_path / "a.docx", body, parts={"word/footnotes.xml": note}))
    assert [text for _, text in outline(document)] == ["link new[2]", "control", "around", "boxed", "[2] the note"]


def test_headings_of_any_language_and_numbers_as_word_prints_them(tmp_path: Path) -> None:
    styles = (
        "<w:root><w:style w:styleId='berschrift1'><w:name w:val='heading 1'/><w:pPr><w:numPr>"
        "<w:numId w:val='1'/></w:numPr></w:pPr></w:style>"
        "<w:style w:styleId='Mein'><w:basedOn w:val='berschrift1'/></w:style></w:root>"
    )
    numbering = (
        "<w:root><w:abstractNum w:abstractNumId='0'>"
        "<w:lvl w:ilvl='0'><w:start w:val='4'/><w:numFmt w:val='decimal'/><w:lvlText w:val='%1.'/></w:lvl>"
        "<w:lvl w:ilvl='1'><w:numFmt w:val='lowerRoman'/><w:lvlText w:val='%1.%2)'/></w:lvl></w:abstractNum>"
        "<w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num></w:root>"
    )
    item = "<w:numPr><w:ilvl w:val='1'/><w:numId w:val='1'/></w:numPr>"
    body = (
        paragraph("Eins", "<w:pStyle w:val='berschrift1'/>")
        + paragraph("a", item)
        + paragraph("b", item)
        + paragraph("Zwei", "<w:pStyle w:val='Mein'/>")
        + paragraph("c", item)
        + paragraph("Direct", "<w:outlineLvl w:val='2'/>")
    )
    made = make_docx(tmp_path / "a.docx", body, parts={"word/styles.xml": styles, "word/numbering.xml": numbering})
    assert outline(read(made)) == [
        ("h1", "4. Eins"),
        ("list", "  4.i) a\n  4.ii) b"),
        ("h1", "5. Zwei"),
        ("list", "  5.i) c"),
        ("h3", "Direct"),
    ]


def test_a_frame_of_one_cell_is_flow(tmp_path: Path) -> None:
    cell = f"<w:tbl><w:tr><w:tc>{paragraph('one')}{paragraph('two')}</w:tc></w:tr></w:tbl>"
    assert outline(read(make_docx(tmp_path / "a.docx", cell))) == [("paragraph", "one"), ("paragraph", "two")]


def refusal(path: Path) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert caught.value.where == path.name
    return caught.value


def test_truncated(tmp_path: Path) -> None:
    whole = make_docx(tmp_path / "a.docx", paragraph("text " * 500)).read_bytes()
    for share in (0.3, 0.6, 0.99):
        (tmp_path / "cut.docx").write_bytes(whole[: int(len(whole) * share)])
        assert refusal(tmp_path / "cut.docx").reason == "corrupt"


def test_damaged_inside(tmp_path: Path) -> None:
    data = bytearray(make_docx(tmp_path / "a.docx", paragraph("word soup " * 5000)).read_bytes())
    middle = data.index(b"word/document.xml") + 60
    data[middle : middle + 20] = bytes(20)
    (tmp_path / "a.docx").write_bytes(data)
    assert refusal(tmp_path / "a.docx").reason == "corrupt"


def test_zip_bomb_is_refused_unopened(tmp_path: Path) -> None:
    assert refusal(make_zip_bomb(tmp_path / "bomb.docx")).reason == "expands_too_much"


def test_many_small_bombs_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipguard, "MAX_TOTAL", 1 << 20)
    parts = {f"word/media/{i}.txt": "x" * 100_000 for i in range(12)}
    assert refusal(make_docx(tmp_path / "a.docx", paragraph("x"), parts=parts)).reason == "expands_too_much"
    monkeypatch.setattr(zipguard, "MAX_ENTRIES", 5)
    assert "entries" in refusal(tmp_path / "a.docx").message


def test_no_entity_is_expanded(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    dtd = f'<!DOCTYPE w:document [<!ENTITY a "lol">{laughs}]>'
    assert refusal(make_docx(tmp_path / "a.docx", paragraph("&j;"), before=dtd)).reason == "corrupt"
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    dtd = f'<!DOCTYPE w:document [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    error = refusal(make_docx(tmp_path / "a.docx", paragraph("&x;"), before=dtd))
    assert error.reason == "corrupt"
    assert "SECRET" not in str(error)


def test_deep_nesting(tmp_path: Path) -> None:
    body = "<w:sdt>" * 5000 + paragraph("x") + "</w:sdt>" * 5000
    assert refusal(make_docx(tmp_path / "a.docx", body)).reason == "corrupt"


def test_encrypted_and_old_office_files(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    (tmp_path / "a.docx").write_bytes(ole + "EncryptedPackage".encode("utf-16-le") + bytes(500))
    assert refusal(tmp_path / "a.docx").reason == "encrypted"
    (tmp_path / "a.doc").write_bytes(ole)
    assert refusal(tmp_path / "a.doc").reason == "unsupported_type"


def test_every_damaged_byte_of_the_container_is_read_or_refused(tmp_path: Path) -> None:
    make_docx(tmp_path / "a.docx", "".join(paragraph(f"Paragraph {i}.") for i in range(40)))
    whole = (tmp_path / "a.docx").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "b.docx").write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])
        with contextlib.suppress(DocumentError):
            read(tmp_path / "b.docx")


def test_pictures_and_what_is_said_of_them(tmp_path: Path) -> None:
    import docx  # noqa: PLC0415

    (tmp_path / "p.png").write_bytes(PNG)
    made = docx.Document()
    made.add_paragraph("Before")
    shape = made.add_picture(str(tmp_path / "p.png"))
    shape._inline.docPr.set("descr", "The new office")
    made.add_table(1, 2).cell(0, 1).paragraphs[0].add_run().add_picture(str(tmp_path / "p.png"))
    made.save(str(tmp_path / "a.docx"))
    document = read(tmp_path / "a.docx")
    assert outline(document) == [("paragraph", "Before"), ("paragraph", "[Picture: The new office]")]
    assert [(found.mime, found.data, found.alt) for found in document.pictures] == [
        ("image/png", PNG, "The new office")
    ]
    assert document.pictures[0].start == len("Before")


def test_comments_stand_at_the_end_and_tracked_changes_are_named(tmp_path: Path) -> None:
    body = (
        "<w:p><w:r><w:t xml:space='preserve'>The price is </w:t></w:r><w:commentRangeStart w:id='3'/>"
        "<w:ins><w:r><w:t>ten pounds</w:t></w:r></w:ins><w:del><w:r><w:delText>nine</w:delText></w:r></w:del>"
        "<w:commentRangeEnd w:id='3'/><w:r><w:t>.</w:t></w:r></w:p>"
    )
    said = paragraph("Ask Bob first.")
    comments = (
        f"<w:root><w:comment w:id='3' w:author='Ann'>{said}</w:comment><w:comment w:id='4'>{said}</w:comment></w:root>"
    )
    document = read(make_docx(tmp_path / "a.docx", body, parts={"word/comments.xml": comments}))
    assert outline(document) == [
        ("paragraph", "The price is ten pounds."),
        ("quote", 'Comment by Ann on "ten pounds": Ask Bob first.'),
        ("quote", "Comment: Ask Bob first."),
    ]
    assert document.warnings == ("It has tracked changes; it was read as if all were accepted.",)
