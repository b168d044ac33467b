"""The program git, with its hands tied: what it may speak, run, read of the environment, and use up.

It is git itself and not a library, because people's credentials, keys, proxies and certificates are set up for it, and
because a process of its own can be bounded and ended, where a hostile repository would otherwise be unpacked in the
server. It runs no hooks, no filters and no submodules, asks nothing, and checks nothing out.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from athanor.data.git.address import bare
from athanor.errors import JobError

Tell = Callable[[str], None]

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.interactive=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",  # one pack each time: its size can be bounded, and nothing is left half-written
    "fetch.writeCommitGraph=false",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=1",
    "core.bigFileThreshold=16m",  # what is larger is streamed, not held
    "core.packedGitWindowSize=32m",
    "core.packedGitLimit=256m",
    "http.followRedirects=initial",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
_KEPT = frozenset(
    [
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
        *("SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND"),
        *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
        *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    ]
)
"""Of the server's environment. The rest may hold secrets, or tell git to run something."""
_GIVEN = re.compile(r"GIT_CONFIG_(?:KEY|VALUE)_\d+")
_BOUNDED = 'ulimit -c 0; ulimit -v "$1" 2>/dev/null; ulimit -f "$2" 2>/dev/null; shift 2; exec git "$@"'
"""For sh. The limits are the kernel's, and hold for all that git starts."""
_STDERR_LINES = 40
_PERCENT = re.compile(r"(?:remote: )?([A-Z][a-z]+ [a-z]+): +(\d+)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLimits:
    """What one repository may use up."""

    seconds: float = 900.0
    """For a download."""
    look_seconds: float = 60.0
    """For the question what a branch is at."""
    bytes: int = 2048 << 20
    """Of a download, and of what is kept of a repository."""
    memory_bytes: int = 1024 << 20
    """Of each process."""


DEFAULT_LIMITS = GitLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Runs git on the bare repository at `folder`.

    Args:
        protocols: what git may speak; all else is refused, whatever a configuration rewrites a URL to.
        tokens: host → token for HTTPS, or `user:password`; never on a command line, in a file or in an error.
    """

    folder: Path
    protocols: tuple[str, ...]
    limits: GitLimits = DEFAULT_LIMITS
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def run(
        self, *arguments: str, seconds: float | None = None, most: int = 1 << 20, tell: Tell | None = None
    ) -> bytes:
        """What git writes to stdout, which may be `most` bytes; `tell` hears how far it is.

        Raises:
            GitFailed: git said no.
            JobError: it is not installed, took too long, or said too much.
        """
        async with self.started(*arguments, tell=tell) as running:
            limit = seconds or self.limits.look_seconds
            try:
                async with asyncio.timeout(limit):
                    found = await running.stdout.read(most + 1)
                    while found and len(found) <= most and (more := await running.stdout.read(most + 1 - len(found))):
                        found += more
                    if len(found) > most:
                        raise JobError("The repository says more than a repository has to say.", where="git")
                    await running.finish()
            except TimeoutError:
                raise JobError(
                    f"git took longer than {limit:,.0f} seconds.",
                    where=f"git {arguments[0]}",
                    hint="See git.timeout_s.",
                ) from None
        return found

    @asynccontextmanager
    async def started(self, *arguments: str, stdin: bool = False, tell: Tell | None = None) -> AsyncIterator[Running]:
        """A running git. Whatever is left of it at the end of the block is killed.

        Raises:
            JobError: git is not installed.
        """
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        try:
            # A start that is cut short kills git alone, and not what git has started already.
            with anyio.CancelScope(shield=True):
                process = await asyncio.create_subprocess_exec(
                    "/bin/sh", "-c", _BOUNDED, "sh",
                    str(self.limits.memory_bytes >> 10), str((self.limits.bytes >> 9) + 1),
                    *settings, f"--git-dir={self.folder}", *arguments,
                    stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    cwd=self.folder,
                    env=self._environment(),
                    start_new_session=True,  # no terminal to ask on, and one group to kill
                )  # fmt: skip
        except OSError as error:
            raise JobError(f"git cannot be started: {error.strerror}.", where="git") from error
        running = Running(process, arguments[0], tell, tuple(self.tokens.values()))
        try:
            yield running
        finally:
            await running.end()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or _GIVEN.fullmatch(name)}
        given = os.environ.get("GIT_CONFIG_COUNT", "0")
        count = int(given) if given.isdigit() else 0
        for host, token in self.tokens.items():
            pair = token if ":" in token else f"x-access-token:{token}"
            secret = base64.b64encode(pair.encode()).decode()
            kept[f"GIT_CONFIG_KEY_{count}"] = f"http.https://{host}/.extraHeader"
            kept[f"GIT_CONFIG_VALUE_{count}"] = f"Authorization: Basic {secret}"
            count += 1
        return {
            **kept,
            "GIT_CONFIG_COUNT": str(count),
            "GIT_ALLOW_PROTOCOL": ":".join(self.protocols),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GCM_INTERACTIVE": "never",
            "SSH_ASKPASS_REQUIRE": "never",
            "LC_ALL": "C",
        }


class GitFailed(Exception):  # noqa: N818  it is told apart, and told again in other words
    """git ended with an error; `said` is its stderr, cleaned of credentials."""

    def __init__(self, command: str, said: str, code: int) -> None:
        super().__init__(f"git {command} ended with {code}")
        self.said = said
        self.code = code


class Running:
    """A git that runs."""

    def __init__(
        self, process: asyncio.subprocess.Process, command: str, tell: Tell | None, secrets: tuple[str, ...]
    ) -> None:
        if process.stdout is None or process.stderr is None:
            raise JobError("git was started without pipes.", where="git")
        self._process = process
        self._command = command
        self._tell = tell
        self._secrets = secrets
        self._said: deque[str] = deque(maxlen=_STDERR_LINES)
        self._listener = asyncio.create_task(self._listen(process.stderr))
        self.stdout = process.stdout

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Only of one that was started with `stdin`."""
        if self._process.stdin is None:
            raise JobError("git was started without an input.", where="git")
        return self._process.stdin

    async def finish(self) -> None:
        """Wait for its end. Raises GitFailed where it was none that git would call good."""
        code = await self._process.wait()
        await self._listener
        if code in {126, 127} and not self.said.startswith("fatal"):
            raise JobError(
                "The program git is not installed.", hint="Install it: 'apt install git', 'brew install git'."
            )
        if code:
            raise GitFailed(self._command, self.said, code)

    @property
    def said(self) -> str:
        """The end of its stderr, without credentials."""
        text = bare("\n".join(self._said))
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    async def end(self) -> None:
        """Kill what is left of it and of what it started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._listener.cancel()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()  # else a pipe that nobody reads any more keeps it from having ended
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._listener])
            await self._process.wait()

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stderr.read(4096):
            *lines, rest = re.split(rb"[\r\n]", (rest + data)[-8192:])
            for line in lines:
                text = line.decode("utf-8", "replace").strip()
                if found := _PERCENT.match(text):
                    if self._tell is not None:
                        self._tell(f"{found[1]}: {found[2]} %")
                elif text:
                    self._said.append(text[:500])
        if rest.strip():
            self._said.append(rest.decode("utf-8", "replace").strip()[:500])
