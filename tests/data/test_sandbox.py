"""The pool, its children, and a plug-in parser that does everything a parser must not do."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from athanor.data import ParserLimits, ParserPool
from athanor.errors import DocumentError
from athanor.types import ParsedDocument
from tests.data.makers import make_docx, make_pdf, make_sparse, make_zip_bomb, paragraph, prose

pytestmark = pytest.mark.anyio

EVIL = """
import os, socket, subprocess, sys, time
from athanor.types import Block, ParsedDocument

class Evil:
    mimes = ("application/x-evil",)
    suffixes = (".evil",)

    def parse(self, path, name):
        order, _, rest = path.read_text().partition(" ")
        text = str(getattr(self, order)(rest))
        end = len(text) + (99 if order == "overshoot" else 0)
        return ParsedDocument(text=text, title=name, mime=self.mimes[0], blocks=(Block(kind="odd", start=0, end=end),))

    def say(self, rest): return rest
    def pid(self, rest): return os.getpid()
    def crash(self, rest): os.kill(os.getpid(), 11)
    def hang(self, rest): time.sleep(600)
    def spin(self, rest):
        while True: pass
    def eat(self, rest): return len(bytearray(1 << 33))
    def nibble(self, rest):
        kept = []
        while True: kept.append(bytes(1 << 20))
    def leave(self, rest): os._exit(3)
    def fail(self, rest): raise KeyError("no such thing")
    def recurse(self, rest): return self.recurse(rest)
    def overshoot(self, rest): return rest
    def chatter(self, rest):
        print("noise " * 100_000)
        os.write(1, b"more noise")
        return "quiet"
    def big(self, rest): return "x" * int(rest)
    def surrogate(self, rest): return "\\ud800"
    def environ(self, rest): return sorted(os.environ)
    def folder(self, rest): return os.listdir("/proc/self/net") and open("/proc/self/net/dev").read()
    def attempt(self, rest):
        try: return eval(rest, {"socket": socket, "subprocess": subprocess, "os": os, "open": open}) or "done"
        except OSError as error: return f"refused: {type(error).__name__}"
"""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write `.evil` files into; children find the plug-in, as they find ours, by its entry point."""
    site = tmp_path / "site"
    (site / "evil-1.0.dist-info").mkdir(parents=True)
    (site / "evil.py").write_text(EVIL)
    (site / "evil-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (site / "evil-1.0.dist-info/entry_points.txt").write_text("[athanor.parsers]\nevil = evil:Evil\nlost = gone:Gone\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    return tmp_path


async def ask(pool: ParserPool, folder: Path, order: str) -> ParsedDocument:
    path = folder / f"{abs(hash(order))}.evil"
    path.write_text(order)
    return await pool.parse(path, "it.evil")


async def refused(pool: ParserPool, folder: Path, order: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        await ask(pool, folder, order)
    assert caught.value.where == "it.evil"
    assert "\n" not in str(caught.value)
    return caught.value


async def test_documents_come_back_whole_and_children_are_used_again(tmp_path: Path) -> None:
    made = make_pdf(tmp_path / "a.pdf", [prose(["One."]), prose(["Two."])])
    async with ParserPool() as pool:
        for _ in range(3):
            document = await pool.parse(made, "docs/a.pdf")
            assert document.text == "One.\n\nTwo."
            assert document.pages == (0, 6)
        assert pool.statistics.started == 1
        assert pool.statistics.documents == 3


@pytest.mark.parametrize(
    ("order", "reason", "words"),
    [
        ("crash", "corrupt", "SIGSEGV"),
        ("leave", "corrupt", "exit code 3"),
        ("hang", "timeout", "1 seconds"),
        ("spin", "timeout", "1 seconds"),
        ("eat", "memory", "MiB"),
        ("nibble", "memory", "MiB"),
        ("fail", "corrupt", "KeyError"),
        ("recurse", "corrupt", "too deeply"),
        ("overshoot x", "corrupt", "behind the text"),
        ("surrogate", "corrupt", "cannot be stored"),
        ("big 3000000", "too_large", "2 MiB"),
    ],
)
async def test_a_failure_is_one_clear_line_and_the_pool_goes_on(
    evil: Path, order: str, reason: str, words: str
) -> None:
    limits = ParserLimits(seconds=1 if reason == "timeout" else 30, memory_bytes=512 << 20, text_bytes=2 << 20)
    async with ParserPool(limits=limits) as pool:
        error = await refused(pool, evil, order)
        assert error.reason == reason
        assert words in error.message
        assert (await ask(pool, evil, "say hello")).text == "hello"
        assert pool.statistics.refused == 1


async def test_a_used_child_that_fails_does_not_condemn_the_document(evil: Path) -> None:
    async with ParserPool() as pool:
        pid = int((await ask(pool, evil, "pid")).text)
        os.kill(pid, signal.SIGKILL)
        assert (await ask(pool, evil, "say fine")).text == "fine"
        error = await refused(pool, evil, "crash")
        assert error.reason == "corrupt"
        assert pool.statistics.started == 3


async def test_children_are_renewed(evil: Path) -> None:
    async with ParserPool(documents_per_child=2) as pool:
        pids = [(await ask(pool, evil, "pid")).text for _ in range(4)]
        assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_idle_children_leave(evil: Path) -> None:
    async with ParserPool(idle_seconds=0.1) as pool:
        pid = int((await ask(pool, evil, "pid")).text)
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                break
            await asyncio.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()
        assert (await ask(pool, evil, "pid")).text != str(pid)


async def test_cancelling_ends_the_child(evil: Path) -> None:
    async with ParserPool() as pool:
        pid = int((await ask(pool, evil, "pid")).text)
        task = asyncio.create_task(ask(pool, evil, "hang"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not Path(f"/proc/{pid}").exists()
        assert (await ask(pool, evil, "say on")).text == "on"


async def test_no_more_children_than_places(evil: Path) -> None:
    async with ParserPool(size=2) as pool:
        answers = await asyncio.gather(*(ask(pool, evil, f"say {i}") for i in range(12)))
        assert [answer.text for answer in answers] == [str(i) for i in range(12)]
        assert pool.statistics.started <= 2


async def test_what_a_parser_prints_does_not_reach_the_answer(evil: Path) -> None:
    async with ParserPool() as pool:
        assert (await ask(pool, evil, "chatter")).text == "quiet"


async def test_a_parser_may_do_little(evil: Path) -> None:
    target = evil / "written"
    attempts = [
        "socket.create_connection(('127.0.0.1', 9), timeout=1)",
        "socket.getaddrinfo('localhost', 80)",
        "subprocess.run(['true'])",
        "os.system('true')",
        f"open({str(target)!r}, 'wb', 0).write(b'x')",
    ]
    async with ParserPool() as pool:
        for attempt in attempts:
            assert (await ask(pool, evil, f"attempt {attempt}")).text.startswith("refused"), attempt
        assert not target.exists() or target.stat().st_size == 0
        assert "SECRET_KEY" not in (await ask(pool, evil, "environ")).text


async def test_a_large_answer_comes_back(evil: Path) -> None:
    async with ParserPool() as pool:
        started = time.perf_counter()
        assert len((await ask(pool, evil, f"big {40 << 20}")).text) == 40 << 20
        assert time.perf_counter() - started < 10


async def test_bad_files_are_named_one_by_one(tmp_path: Path) -> None:
    make_pdf(tmp_path / "encrypted.pdf", [prose(["x"])], password="hunter2")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "wrong.txt").write_bytes("Это русский текст в старой кодировке.".encode("koi8-r"))
    whole = make_docx(tmp_path / "good.docx", paragraph("Good."))
    (tmp_path / "cut.docx").write_bytes(whole.read_bytes()[:300])
    make_zip_bomb(tmp_path / "bomb.docx")
    make_sparse(tmp_path / "large.bin", 300 << 20)
    os.mkfifo(tmp_path / "pipe.txt")
    found, lines = {}, []
    async with ParserPool() as pool:
        for path in sorted(tmp_path.iterdir()):
            try:
                found[path.name] = (await pool.parse(path, path.name)).text
            except DocumentError as error:
                found[path.name] = error.reason
                lines.append(str(error))
        assert pool.statistics.started == 1
    assert not any("\n" in line for line in lines)
    assert found == {
        "bomb.docx": "expands_too_much",
        "cut.docx": "corrupt",
        "empty.txt": "empty",
        "encrypted.pdf": "encrypted",
        "good.docx": "Good.",
        "large.bin": "too_large",
        "pipe.txt": "unsupported_type",
        "wrong.txt": "encoding",
    }


async def test_the_server_imports_no_parsing_library() -> None:
    code = "import sys, athanor.data; print({'lxml', 'pypdfium2', 'docx', 'markdown_it'} & set(sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert (await process.communicate())[0].strip() == b"set()"


async def test_children_die_with_their_parent(evil: Path) -> None:
    (evil / "hang.evil").write_text("spin")
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom athanor.data import ParserPool\n"
        f"asyncio.run(ParserPool().parse(Path({str(evil / 'hang.evil')!r}), 'hang.evil'))"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    child = ""
    for _ in range(200):
        await asyncio.sleep(0.05)
        if child := children.read_text().strip():
            break
    await asyncio.sleep(0.6)
    parent.kill()
    await parent.wait()
    for _ in range(60):
        if not Path(f"/proc/{child}").exists():
            break
        await asyncio.sleep(0.05)
    assert child
    assert not Path(f"/proc/{child}").exists()
