"""Archives, mailboxes and mails: what they hold, and what they try."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import tarfile
import tempfile
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from athanor.data import FileKind, Member, ParserLimits, ParserPool, file_kind, scan_folder
from athanor.data.containers import mbox
from athanor.data.containers.mbox import OpenMbox
from athanor.errors import DocumentError

pytestmark = pytest.mark.anyio


def make_zip(entries: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def make_mail(subject: str, text: str, attachments: dict[str, bytes] | None = None) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.org", "bob@example.org", subject
    mail["Date"], mail["Message-ID"] = "Mon, 02 Mar 2026 10:00:00 +0000", f"<{abs(hash(subject))}@example.org>"
    mail.set_content(text)
    for name, data in (attachments or {}).items():
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()


def make_mbox(mails: list[bytes]) -> bytes:
    return b"".join(b"From ann@example.org Mon Mar  2 10:00:00 2026\n" + mail.rstrip(b"\n") + b"\n\n" for mail in mails)


async def listed(pool: ParserPool, path: Path, after: str | None = None) -> list[Member]:
    return [member async for member in pool.members(path, path.name, after=after)]


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


async def test_an_archive_gives_each_of_its_files_and_what_they_hold(tmp_path: Path) -> None:
    inner = make_zip({"deep.txt": "Deep."})
    mail = make_mail("Offer", "See the file.", {"offer.txt": b"Ten pounds.", "more.zip": make_zip({"in.md": "# In"})})
    path = put(tmp_path, "all.zip", make_zip({
        "a/one.txt": "One.", "inner.zip": inner, "mail.eml": mail, ".hidden": "x", "__MACOSX/a": "x", "~$lock.txt": "x",
    }))  # fmt: skip
    assert file_kind(path, path.name) is FileKind.CONTAINER
    async with ParserPool() as pool:
        members = await listed(pool, path)
        assert [(m.name, m.problem) for m in members] == [
            ("a/one.txt", None),
            ("inner.zip/deep.txt", None),
            ("mail.eml", None),
            ("mail.eml/offer.txt", None),
            ("mail.eml/more.zip/in.md", None),
        ]
        assert members[0].sha256 == hashlib.sha256(b"One.").hexdigest()
        texts = [(await pool.parse(path, f"all.zip/{m.name}", member=m.key)).text for m in members]
        assert texts[:2] == ["One.", "Deep."]
        assert "See the file." in texts[2]
        assert texts[3:] == ["Ten pounds.", "# In"]
        for place, member in enumerate(members):
            assert await listed(pool, path, member.key) == members[place + 1 :]


async def test_names_are_clean_and_bad_entries_are_problems(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd", "a")
        archive.writestr("/root.txt", "b")
        archive.writestr("same.txt", "c")
        archive.writestr("./same.txt", "d")
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.txt", bytes(4 << 20))
    path = put(tmp_path, "bad.zip", out.getvalue())
    async with ParserPool() as pool:
        members = await listed(pool, path)
        assert [(m.name, m.problem and m.problem.reason) for m in members] == [
            ("etc/passwd", None),
            ("root.txt", None),
            ("same.txt", None),
            ("same (2).txt", None),
            ("link", "unsupported_type"),
            ("bomb.txt", "expands_too_much"),
        ]
        with pytest.raises(DocumentError, match="link or a device"):
            await pool.parse(path, "bad.zip/link", member=members[4].key)


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz"])
async def test_tar_archives(tmp_path: Path, packing: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as archive:  # type: ignore[call-overload]
        for number in range(5):
            data = f"Text {number}.".encode()
            info = tarfile.TarInfo(f"docs/{'long' * 40}/{number}.txt")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    path = put(tmp_path, f"all.tar{'.' * bool(packing)}{packing}", out.getvalue())
    async with ParserPool() as pool:
        members = await listed(pool, path)
        assert [bool(m.problem) for m in members] == [False] * 5 + [True]
        for number in (4, 0, 2):
            assert (await pool.parse(path, "x.txt", member=members[number].key)).text == f"Text {number}."
        path.write_bytes(out.getvalue()[: len(out.getvalue()) // 3])
        with pytest.raises(DocumentError):
            await listed(pool, path)


async def test_budgets_and_depth_are_problems_and_never_silent(tmp_path: Path) -> None:
    data = make_zip({"x.txt": "x"})
    for level in range(4):
        data = make_zip({f"{level}.zip": data})
    path = put(tmp_path, "deep.zip", data)
    many = put(tmp_path, "many.zip", make_zip({f"{i}.txt": b"y" * 1000 for i in range(10)}))
    async with ParserPool(limits=ParserLimits(unpacked_bytes=5_500)) as pool:
        members = await listed(pool, path)
        assert [m.problem.reason for m in members if m.problem] == ["expands_too_much"]
        members = await listed(pool, many)
        assert [bool(m.problem) for m in members] == [False] * 5 + [True]
    async with ParserPool(limits=ParserLimits(members=3)) as pool:
        with pytest.raises(DocumentError, match="10 entries"):
            await listed(pool, many)


async def test_a_mailbox_is_a_list_of_mails(tmp_path: Path) -> None:
    mails = [make_mail(f"Subject {i}", f"Text {i}.\n\n>From here on.\n\n> quoted {i}\n") for i in range(600)]
    mails[1] = make_mail("With file", "See.", {"a.txt": b"Attached."})
    path = put(tmp_path, "box.mbox", make_mbox(mails))
    async with ParserPool() as pool:
        members = await listed(pool, path)
        assert len(members) == 601
        assert [m.name for m in members[:4]] == [
            "0001 Subject 0.eml", "0002 With file.eml", "0002 With file.eml/a.txt", "0003 Subject 2.eml",
        ]  # fmt: skip
        assert (await pool.parse(path, "a.txt", member=members[2].key)).text == "Attached."
        mail = await pool.parse(path, members[-1].name, member=members[-1].key)
        assert mail.title == "Subject 599"
        assert "Text 599." in mail.text
        assert "\nFrom here on." in mail.text
        assert [mail.text[b.start : b.end] for b in mail.blocks if b.kind == "quote"] == ["> quoted 599"]
        assert await listed(pool, path, members[400].key) == members[401:]
        assert members[-1].progress == 1.0


async def test_a_changed_container_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, "a.zip", make_zip({"a.txt": "a", "b.txt": "b"}))
    async with ParserPool() as pool:
        key = (await listed(pool, path))[1].key
        put(tmp_path, "a.zip", make_zip({"a.txt": "a", "c.txt": "other"}))
        with pytest.raises(DocumentError, match="changed"):
            await pool.parse(path, "b.txt", member=key)


async def test_scratch_folders_go_with_their_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    old, young, other = (scratch / name for name in ("athanor-parser-old", "athanor-parser-young", "other"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
        if folder is not young:
            os.utime(folder, (1, 1))
    kept = {young, other}
    path = put(tmp_path, "a.zip", make_zip({"a.txt": "a"}))
    async with ParserPool(idle_seconds=0.05) as pool:
        await listed(pool, path)
        await eventually_only(scratch, kept)  # idle
        members = pool.members(path, "a.zip")
        await anext(members)
        assert set(scratch.iterdir()) > kept
        await members.aclose()
        await eventually_only(scratch, kept)  # a listing that was given up
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    async with ParserPool() as pool:
        with pytest.raises(OSError, match="none"):
            await listed(pool, path)
    await eventually_only(scratch, kept)


async def eventually_only(folder: Path, kept: set[Path]) -> None:
    for _ in range(400):
        if set(folder.iterdir()) == kept:
            return
        await asyncio.sleep(0.02)
    assert set(folder.iterdir()) == kept


def test_a_container_may_be_larger_than_a_file(tmp_path: Path) -> None:
    put(tmp_path, "box", make_mbox([make_mail("One", "Text.")]))
    put(tmp_path, "long.txt", bytes(400))
    found = scan_folder(tmp_path, max_bytes=100, container_bytes=10_000)
    assert [file.source for file in found.files] == ["box"]
    assert [name for name, _ in found.problems] == ["long.txt"]
    assert [name for name, _ in scan_folder(tmp_path, max_bytes=100, container_bytes=200).problems] == [
        "box",
        "long.txt",
    ]


@pytest.mark.parametrize("seed", range(40))
def test_messages_begin_where_they_begin_whatever_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    newline = rng.choice([b"\n", b"\r\n"])
    begins, data = [], b""
    for _ in range(rng.randrange(1, 12)):
        begins.append(len(data))
        lines = [b"From a@b Mon Mar  2 10:00:00 2026", b"Subject: x", b""]
        texts = [b"", b"From home, at last", b">From a", b"\nFrom ", b"x" * rng.randrange(900), b"From "]
        lines.extend(rng.choices(texts, k=rng.randrange(30)))
        data += newline.join([*lines, b"", b""])
    path = put(tmp_path, "box", data)
    monkeypatch.setattr(mbox, "SCAN", rng.randrange(1, 3000))
    box = OpenMbox(path.open("rb"), "box")
    try:
        keys = [entry.key for entry in box.entries(None) if not isinstance(entry, float)]
        assert [int(key.split(":")[0]) for key in keys] == begins
        assert sum(int(key.split(":")[1]) for key in keys) == len(data)
        assert [entry.key for entry in box.entries(keys[-1]) if not isinstance(entry, float)] == keys[-1:]
    finally:
        box.close()


async def test_an_entry_without_a_name_gets_one(tmp_path: Path) -> None:
    path = put(tmp_path, "a.zip", make_zip({"Xa": "a", "b.txt": "b"}).replace(b"Xa", b"\0a"))
    async with ParserPool() as pool:
        assert [m.name for m in await listed(pool, path)] == ["unnamed", "b.txt"]


async def test_a_listing_goes_on_behind_a_member_that_cannot_be_opened(tmp_path: Path) -> None:
    broken = make_zip({"deep.txt": "Deep."})[:-30]
    path = put(tmp_path, "all.zip", make_zip({"a.txt": "A.", "inner.zip": broken, "z.txt": "Z."}))
    async with ParserPool() as pool:
        members = await listed(pool, path)
        assert [(m.name, m.problem is None) for m in members] == [
            ("a.txt", True),
            ("inner.zip", False),
            ("z.txt", True),
        ]
        assert [m.name for m in await listed(pool, path, members[1].key)] == ["z.txt"]
