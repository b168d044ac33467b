"""Feeds one parser or opener of containers broken files for some minutes:
`python -m tests.fuzz.fuzz_parsers NAME [--minutes N] [--seed N]`.

With atheris installed the fuzzer is guided by coverage; without, it mutates at random from a seed that it prints. The
mutations know ZIP and gzip: they change what is inside and pack it again, so that the damage gets past the checksums. A
fault is a document that breaks the contract, a member whose name leads out of its container or that cannot be found
again by its key, an exception that the worker would not report as a damaged document, or a file that takes longer than
`SECONDS`. The file that shows it is kept in `tests/fuzz/found/`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import gzip
import hashlib
import io
import random
import sys
import tempfile
import time
import unicodedata
import zipfile
import zlib
from pathlib import Path
from types import FunctionType

from athanor.data.base import Member
from athanor.data.containers.walk import Walker
from athanor.data.limits import ParserLimits
from athanor.data.members import pack_members
from athanor.data.scratch import Scratch
from athanor.data.wire import check_document, pack_document
from athanor.data.worker import parse
from athanor.errors import AthanorError
from tests.data.reading import PARSERS
from tests.fuzz.seeds import CONTAINERS, SEEDS, seeds

SECONDS = 20.0
FOUND = Path(__file__).parent / "found"
_WORDS = (b"<", b">", b"&", b'"', b"]]>", b"-1", b"4294967296", b"99999999999999999999", b"\0", b"\xff\xfe", b"\n" * 9)
_LIMITS = ParserLimits(members=2_000, unpacked_bytes=64 << 20, file_bytes=16 << 20)
_OURS = (AttributeError, NameError, AssertionError, UnboundLocalError)
"""The worker reports any exception as a damaged file: right for lies of a file, wrong for these faults of ours."""


def check(data: bytes, name: str, folder: Path) -> None:
    """Read `data` as the worker does. Raises what is a fault."""
    path = folder / "blob"
    path.write_bytes(data)
    started = time.monotonic()
    try:
        document = parse(path, name, PARSERS, ParserLimits())
    except (AthanorError, MemoryError):
        document = None
    except _OURS:
        raise
    except Exception:
        document = None
    if document is not None:
        check_document(document)
        pack_document(document, {})
    if time.monotonic() - started > SECONDS:
        raise TimeoutError(f"{len(data):,} bytes took more than {SECONDS:g} s")


def check_container(data: bytes, name: str, folder: Path) -> None:
    """List and read the members of `data` as the worker does. Raises what is a fault."""
    path = folder / "blob"
    path.write_bytes(data)
    started = time.monotonic()
    walker = Walker(_LIMITS, Scratch(folder))
    members: list[Member] = []
    try:
        for found in walker.list(path, name, None):
            if isinstance(found, Member):
                check_member(found)
                members.append(found)
        if members:
            middle = len(members) // 2
            rest = [m.name for m in walker.list(path, name, members[middle].key) if isinstance(m, Member)]
            # What is a document and holds others has one key; the problem of what it holds may come again.
            again = 0 if members[middle].problem is None else len(rest) - len(members) + middle + 1
            assert rest[max(again, 0) :] == [m.name for m in members[middle + 1 :]], "a listing does not go on"
    except (AthanorError, MemoryError):
        pass
    except _OURS:
        raise
    except Exception:
        pass
    try:
        for member in members[:20]:
            if member.problem is None:
                with walker.extract(path, name, member.key) as file:
                    file.seek(0)
                    assert hashlib.sha256(file.read()).hexdigest() == member.sha256
    finally:
        walker.close()
    if time.monotonic() - started > SECONDS:
        raise TimeoutError(f"{len(data):,} bytes took more than {SECONDS:g} s")


def check_member(member: Member) -> None:
    """Its name stays inside and can be stored, and it can be told to the parent."""
    assert member.name
    assert not member.name.startswith("/")
    assert not {"", ".", ".."} & set(member.name.split("/")), member.name
    assert member.name == unicodedata.normalize("NFC", member.name)
    member.name.encode()
    pack_members([member], 0.5, {})


def mutate(data: bytes, chance: random.Random) -> bytes:
    """`data` with some damage, for ZIP containers mostly inside their parts."""
    if data.startswith(b"PK") and chance.random() < 0.9:
        try:
            return _mutate_parts(data, chance)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError, zlib.error, RuntimeError):
            pass
    if data.startswith(b"\x1f\x8b") and chance.random() < 0.8:
        try:
            return gzip.compress(_damage(gzip.decompress(data), chance), 1)
        except (OSError, EOFError, zlib.error):
            pass
    return _damage(data, chance)


def _mutate_parts(data: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in chance.sample(sorted(parts), min(len(parts), chance.randint(1, 3))):
        fate = chance.random()
        if fate < 0.05:
            del parts[name]
        elif fate < 0.1:
            parts[name] = parts[chance.choice(sorted(parts))]
        else:
            parts[name] = _damage(parts[name], chance)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _damage(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, size = chance.randrange(len(made) + 1), chance.choice((1, 2, 8, 64, 512))
        fate = chance.randrange(7)
        if fate == 0:
            made[at : at + size] = b""
        elif fate == 1:
            made[at:at] = chance.choice(_WORDS)
        elif fate == 2:
            made[at : at + size] = chance.randbytes(size)
        elif fate == 3:  # a piece again, elsewhere
            start = chance.randrange(len(made) + 1)
            made[at:at] = made[start : start + size] * chance.choice((1, 1, 40))
        elif fate == 4 and at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        elif fate == 5:  # a number
            digits = [i for i in range(at, min(at + 200, len(made))) if 48 <= made[i] <= 57]
            if digits:
                made[digits[0] : digits[0] + 1] = chance.choice(
                    (b"0", b"9", b"-7", b"65536", b"1048576", b"9999999999")
                )
        else:
            del made[max(at, 1) :]
    return bytes(made)


def keep(data: bytes, name: str) -> Path:
    """Store what shows a fault."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{hashlib.sha256(data).hexdigest()[:12]}{Path(name).suffix}"
    path.write_bytes(data)
    return path


def run(name: str, minutes: float, seed: int, folder: Path) -> int:
    """Mutate at random; returns how many files were tried. Raises the first fault."""
    chance, corpus = random.Random(seed), seeds(name, folder)
    judge = check_container if name in CONTAINERS else check
    tried, end = 0, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        file, data = chance.choice(corpus)
        data = mutate(data, chance)
        try:
            judge(data, file, folder)
        except BaseException:
            print(f"A fault: {keep(data, file)} (seed {seed}, try {tried})", file=sys.stderr)
            raise
        tried += 1
    return tried


def run_guided(name: str, minutes: float, seed: int, folder: Path) -> None:
    """The same with atheris, which ends the process."""
    import atheris  # noqa: PLC0415

    corpus = folder / "corpus"
    corpus.mkdir()
    found = seeds(name, folder)
    for number, (_, data) in enumerate(found):
        (corpus / str(number)).write_bytes(data)
    for parser in PARSERS.values():
        with contextlib.suppress(Exception):  # the modules that it imports on first use
            parser.parse(folder / "corpus" / "0", found[0][0])
    names = [file for file, _ in found]
    judge = check_container if name in CONTAINERS else check

    def change(data: bytes, limit: int, number: int) -> bytes:
        return mutate(data, random.Random(number))[:limit]

    def one(data: bytes) -> None:
        judge(data, names[zlib.crc32(data) % len(names)], folder)

    # Not `instrument_all`: it takes minutes, and the branches of Python's own library lead nowhere.
    for function in [found for found in gc.get_objects() if isinstance(found, FunctionType)]:
        if (function.__module__ or "").startswith(("athanor.data", "email", "markdown_it", "tarfile", "zipfile")):
            atheris.instrument_func(function)
    options = [sys.argv[0], f"-max_total_time={int(60 * minutes)}", f"-seed={seed}", "-max_len=1000000"]
    FOUND.mkdir(exist_ok=True)
    atheris.Setup(
        [*options, f"-artifact_prefix={FOUND}/", str(corpus)],
        one,
        custom_mutator=change,
    )
    atheris.Fuzz()


def main() -> None:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("parser", choices=sorted(SEEDS))
    arguments.add_argument("--minutes", type=float, default=2)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--plain", action="store_true", help="without atheris, even where it is installed")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not chosen.plain:
            try:
                run_guided(chosen.parser, chosen.minutes, chosen.seed, Path(folder))
                return
            except ImportError:
                pass
        tried = run(chosen.parser, chosen.minutes, chosen.seed, Path(folder))
    print(f"{chosen.parser}: {tried:,} files in {chosen.minutes:g} minutes, no fault (seed {chosen.seed})")


if __name__ == "__main__":
    main()
