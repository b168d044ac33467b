"""The process that parses: `python -m athanor.data.worker LIMITS PARENT SCRATCH`. Requests on stdin, answers on stdout.

It may do little: no network, no files written outside its scratch folder, no program started but the one for OCR,
bounded memory, and it ends with its parent. It can read what its user can read; a parser that is taken over could read
other files but has nowhere to send them except into the text of its answer.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from athanor.data.aids import Aids
from athanor.data.base import Member, Parser
from athanor.data.build import storable
from athanor.data.containers.walk import Walker
from athanor.data.detect import detect, registry
from athanor.data.limits import EXIT_MEMORY, ParserLimits, check_file, memory_error
from athanor.data.members import BATCH, pack_members
from athanor.data.ocr import Ocr
from athanor.data.scratch import Scratch
from athanor.data.wire import (
    LENGTH,
    Request,
    check_document,
    pack,
    pack_document,
    pack_error,
    read_request,
    within_limits,
)
from athanor.errors import AthanorError, DocumentError
from athanor.types import ParsedDocument

EXIT_ORPHAN = 78
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIGKILL = 9
_LARGE = 1 << 20
_TELL_SECONDS = 0.5
_PATIENCE = 1.0
"""Seconds after which a batch of members goes out as it is."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = frozenset(["os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.chmod", "os.chown",
                      "os.truncate", "os.utime", "shutil.rmtree"])  # fmt: skip
_FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.exec",
              "os.posix_spawn", "os.fork", "os.forkpty", "os.system", "urllib.Request")  # fmt: skip


def main() -> None:
    """Serve requests until stdin closes."""
    limits = ParserLimits(**json.loads(sys.argv[1]))
    parent = int(sys.argv[2])
    scratch = Path(sys.argv[3])
    answers = _claim_stdout()
    aids = Aids.find(limits, Telling(answers))
    _confine(limits, parent, scratch, aids.ocr)
    serve(sys.stdin.buffer, answers, limits, Walker(limits, Scratch(scratch)), aids)


class Telling:
    """Sends frames of progress, at most two a second unless there is more time to be asked for."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._last = (0.0, 0.0)

    def __call__(self, share: float, extra: float) -> None:
        now = time.monotonic()
        if now - self._last[0] < _TELL_SECONDS and extra == self._last[1]:
            return
        self._last = (now, extra)
        self._answers.write(pack({"working": round(share, 4), "extra": round(extra, 3)}))
        self._answers.flush()


def serve(requests: BinaryIO, answers: BinaryIO, limits: ParserLimits, walker: Walker, aids: Aids) -> None:
    """Say that it is ready, then answer each request with one frame, of a long document after frames of progress."""
    answers.write(pack({}))
    answers.flush()
    parsers: Mapping[str, Parser] | None = None
    while len(size := requests.read(LENGTH.size)) == LENGTH.size:
        request = read_request(requests.read(LENGTH.unpack(size)[0]))
        name = request.name
        started = time.perf_counter()
        try:
            parsers = parsers or lend(registry(limits.parser), aids)
            aids.begin()
            if request.listing:
                frame = _list(request, walker, answers, started)
            else:
                document = _parse(request, parsers, limits, walker)
                frame = pack_document(document, _statistics(started))
        except AthanorError as error:
            frame = pack_error(error, _statistics(started))
        except MemoryError:
            frame = pack_error(memory_error(name, limits), {**_statistics(started), "spent": True})
        except Exception as error:
            frame = pack_error(_corrupt(error, name), {**_statistics(started), "spent": True})
        answers.write(frame)
        answers.flush()
        if len(frame) > _LARGE:
            document = None  # type: ignore[assignment]
            del frame
            gc.collect()


def lend(parsers: Mapping[str, Parser], aids: Aids) -> Mapping[str, Parser]:
    """`parsers`, with `aids` for those that want them."""
    for parser in parsers.values():
        if hasattr(parser, "aids"):
            parser.aids = aids
    return parsers


def _parse(request: Request, parsers: Mapping[str, Parser], limits: ParserLimits, walker: Walker) -> ParsedDocument:
    if request.member is None:
        return parse(request.path, request.name, parsers, limits)
    check_file(request.path, request.name, limits, container=True)
    with walker.extract(request.path, request.name, request.member) as file:
        return parse(Scratch.path(file), request.name, parsers, limits)


def _list(request: Request, walker: Walker, answers: BinaryIO, started: float) -> bytes:
    """Answer with frames of members, at least one every few seconds, and return the last."""
    check_file(request.path, request.name, walker.limits, container=True)
    batch: list[Member] = []
    progress, sent = 0.0, time.monotonic()
    for found in walker.list(request.path, request.name, request.member):
        if isinstance(found, Member):
            batch.append(found)
        progress = found.progress if isinstance(found, Member) else found
        if len(batch) >= BATCH or time.monotonic() - sent > _PATIENCE:
            answers.write(pack_members(batch, progress, _statistics(started)))
            answers.flush()
            batch, sent = [], time.monotonic()
    return pack_members(batch, 1.0, _statistics(started), last=True)


def parse(path: Path, name: str, parsers: Mapping[str, Parser], limits: ParserLimits) -> ParsedDocument:
    """Read one file within the limits on sizes; the limits on time and memory are the process's.

    Raises:
        DocumentError: it cannot be read.
    """
    check_file(path, name, limits)
    parser = detect(path, name, parsers)
    document = parser.parse(path, name)
    if not document.blocks:
        raise DocumentError("The document has no text.", reason="no_text", where=name)
    if len(document.text) > limits.text_bytes or len(document.text.encode(errors="replace")) > limits.text_bytes:
        message = f"Its text is larger than {limits.text_bytes / 2**20:,.0f} MiB."
        raise DocumentError(message, reason="too_large", where=name, hint="Split it into several documents.")
    if storable(document.text) != document.text:
        raise ValueError("the parser left characters that cannot be stored")
    check_document(document)
    return within_limits(document)


def _corrupt(error: Exception, name: str) -> DocumentError:
    detail = (str(error).strip().splitlines() or [""])[0][:200]
    what = "It is nested too deeply" if isinstance(error, RecursionError) else "The file is damaged or malformed"
    message = f"{what} ({type(error).__name__}{': ' if detail else ''}{detail})."
    return DocumentError(message, reason="corrupt", where=name)


def _claim_stdout() -> BinaryIO:
    """The pipe to the parent. Whatever a library prints goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _statistics(started: float) -> dict[str, Any]:
    return {"seconds": round(time.perf_counter() - started, 4), "peak": peak_memory(), "resident": resident_memory()}


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes; 0 where unknown."""
    try:
        # Not `ru_maxrss` here: after a fork it begins with the parent's size.
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    except OSError:
        pass
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory() -> int:
    """Resident memory of this process now, in bytes; the peak where the present is unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return peak_memory()


def _confine(limits: ParserLimits, parent: int, scratch: Path, ocr: Ocr | None) -> None:
    """Take away what parsing does not need. Best effort where the system offers less; the watch works everywhere."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # An empty network namespace. In a user namespace root would lose the right to read others' files.
        libc.unshare(_CLONE_NEWNET | (_CLONE_NEWUSER if os.geteuid() else 0))
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # after unshare, which clears it
    if os.getppid() != parent:
        os._exit(EXIT_ORPHAN)
    threading.Thread(target=_watch, args=(limits, parent), daemon=True).start()
    _limit_resources(limits)
    inside = f"{scratch}{os.sep}"

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(_FORBIDDEN) and not (ocr and event == "subprocess.Popen" and ocr.allows(args)):
            raise PermissionError(f"a parser may not do this: {event}")
        if event in _CHANGES or (event == "open" and args[2] & _WRITES and not isinstance(args[0], int)):
            path = os.fsdecode(args[0]) if isinstance(args[0], str | bytes | os.PathLike) else ""
            if path != os.devnull and (not path.startswith(inside) or ".." in path):
                raise PermissionError(f"a parser may not write: {event}")

    sys.addaudithook(refuse)


def _limit_resources(limits: ParserLimits) -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, limits.file_bytes)]
    if sys.platform == "linux":
        wanted.append((resource.RLIMIT_AS, limits.memory_bytes))
    for kind, value in wanted:
        _, hard = resource.getrlimit(kind)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))


def _watch(limits: ParserLimits, parent: int) -> None:
    """Ends the process with its parent, and over its memory where the system does not limit that itself."""
    while True:
        time.sleep(0.5)
        if os.getppid() != parent:
            os._exit(EXIT_ORPHAN)
        if resident_memory() > limits.memory_bytes:
            os._exit(EXIT_MEMORY)


if __name__ == "__main__":
    main()
