from __future__ import annotations

import hashlib
import os
import socket
import unicodedata
from pathlib import Path

import pytest

from athanor.data import FolderListing, scan_folder
from athanor.errors import NotFoundError
from tests.data.makers import make_sparse


def names(listing: FolderListing) -> list[str]:
    return [file.source for file in listing.files]


def reasons(listing: FolderListing) -> dict[str, str]:
    return {name: error.reason for name, error in listing.problems}


def put(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)


def test_names_are_relative_sorted_and_composed(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "sub/deep/a.txt", unicodedata.normalize("NFD", "Übung.txt"))
    listing = scan_folder(tmp_path, max_bytes=1 << 20)
    assert names(listing) == ["b.txt", "sub/deep/a.txt", "Übung.txt"]
    assert listing.files[0].sha256 == hashlib.sha256(b"b.txt").hexdigest()
    assert listing.problems == ()
    assert scan_folder(tmp_path, max_bytes=1 << 20) == listing


def test_two_spellings_of_one_name_are_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "Ü.txt", unicodedata.normalize("NFD", "Ü.txt"))
    listing = scan_folder(tmp_path, max_bytes=1 << 20)
    assert names(listing) == ["Ü.txt"]
    assert reasons(listing) == {"Ü.txt (2)": "unreadable"}


def test_junk_hidden_and_ignored_are_skipped(tmp_path: Path) -> None:
    put(tmp_path, ".git/x", ".hidden", "node_modules/x", "__pycache__/x", ".venv/x", "~$lock.docx", "Thumbs.db")
    put(tmp_path, "a.log", "drafts/b.txt", "keep/c.txt")
    assert names(scan_folder(tmp_path, max_bytes=99, ignore=["*.log", "drafts/*"])) == ["keep/c.txt"]
    assert names(scan_folder(tmp_path, max_bytes=99, ignore=["*.log", "drafts/"])) == ["keep/c.txt"]


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "outside.txt", "outer/x.txt", "in/a.txt")
    (tmp_path / "in/leak.txt").symlink_to(tmp_path / "outside.txt")
    (tmp_path / "in/leak").symlink_to(tmp_path / "outer")
    (tmp_path / "in/twice").symlink_to("leak.txt")
    (tmp_path / "in/passwd").symlink_to("/etc/passwd")
    (tmp_path / "in/broken").symlink_to("nowhere")
    listing = scan_folder(tmp_path / "in", max_bytes=1 << 20)
    assert names(listing) == ["a.txt"]
    assert reasons(listing) == {
        "leak.txt": "outside_folder",
        "leak": "outside_folder",
        "twice": "outside_folder",
        "passwd": "outside_folder",
        "broken": "unreadable",
    }
    assert all("\n" not in str(error) for _, error in listing.problems)


def test_links_inside_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", ".data/v1/b.txt", ".data/v1/sub/c.txt")
    (tmp_path / "same.txt").symlink_to("a.txt")
    (tmp_path / "current").symlink_to(".data/v1")
    (tmp_path / "again").symlink_to("current")
    listing = scan_folder(tmp_path, max_bytes=1 << 20)
    assert names(listing) == ["a.txt", "again/b.txt", "again/sub/c.txt"]
    assert listing.problems == ()


def test_loops_end(tmp_path: Path) -> None:
    put(tmp_path, "sub/a.txt")
    (tmp_path / "sub/up").symlink_to("..")
    (tmp_path / "me").symlink_to("me")
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    listing = scan_folder(tmp_path, max_bytes=1 << 20)
    assert names(listing) == ["sub/a.txt"]
    assert reasons(listing) == {"me": "unreadable", "x": "unreadable", "y": "unreadable"}


def test_special_and_huge_files_are_reported_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket must be short
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
        make_sparse(tmp_path / "big.bin", 300 << 20)
        listing = scan_folder(tmp_path, max_bytes=100 << 20)
    assert names(listing) == []
    assert reasons(listing) == {"pipe": "unsupported_type", "sock": "unsupported_type", "big.bin": "too_large"}
    assert "300 MiB" in str(dict(listing.problems)["big.bin"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files_are_reported(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "locked/b.txt")
    (tmp_path / "a.txt").chmod(0)
    (tmp_path / "locked").chmod(0)
    try:
        assert reasons(scan_folder(tmp_path, max_bytes=99)) == {"a.txt": "unreadable", "locked": "unreadable"}
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_names_that_are_no_text_are_written_out(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert names(scan_folder(tmp_path, max_bytes=99)) == ["caf\\xe9.txt"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        scan_folder(tmp_path / "none", max_bytes=1)
