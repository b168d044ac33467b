"""A repository as a source of documents: what it is at, bringing it here, and its files.

What is kept is one bare, shallow copy in a folder of ours. It can be deleted at any moment: the next synchronisation
brings it again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from anyio import to_thread

from athanor.data.folder import FolderListing
from athanor.data.git.address import GitAddress
from athanor.data.git.listing import Listing, TreeLimits
from athanor.data.git.program import DEFAULT_LIMITS, Git, GitFailed, GitLimits, Tell
from athanor.errors import JobError

_REF = "refs/athanor/head"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MAX_PACKS = 40
"""Packs after which the copy is made anew: each holds what changed, and what is gone again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One branch of one repository, with its copy under `home`.

    Args:
        tokens: host → token; only that of the repository's own host is used.
    """

    address: GitAddress
    home: Path
    limits: GitLimits = DEFAULT_LIMITS
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """Where its copy is."""
        return copy_folder(self.home, self.address.origin)

    async def look(self) -> str:
        """The commit that the branch is at.

        Raises:
            JobError: git is missing, the repository cannot be reached or read, or has no such branch.
        """
        git = await self._git()
        branch = self.address.branch
        wanted = [f"refs/heads/{branch}", f"refs/tags/{branch}", f"refs/tags/{branch}^{{}}"] if branch else ["HEAD"]
        try:
            said = await git.run("ls-remote", "--quiet", "--", self.address.url, *wanted)
        except GitFailed as error:
            raise self._told(error) from error
        found = dict(_ref(line) for line in said.decode("utf-8", "replace").splitlines() if "\t" in line)
        for name in (wanted[0], *reversed(wanted[1:])):
            if _COMMIT.fullmatch(found.get(name, "")):
                return found[name]
        raise self._missing()

    async def fetch(self, *, tell: Tell | None = None) -> str:
        """Bring what the branch is at here, without its history; the commit.

        Raises:
            JobError: as `look`, or it is larger than it may be, or took too long.
        """
        if await to_thread.run_sync(self._spent):
            await to_thread.run_sync(self.forget)
        try:
            return await self._fetch(tell)
        except GitFailed as error:
            if await to_thread.run_sync(self._full):
                await to_thread.run_sync(self.forget)
                raise self._told(error, full=True) from error
            if _is_refusal(error.said):
                raise self._told(error) from error
            # A copy whose last download was killed may be locked, or half of it there: it is only a copy.
            await to_thread.run_sync(self.forget)
        try:
            return await self._fetch(tell)
        except GitFailed as error:
            full = await to_thread.run_sync(self._full)
            await to_thread.run_sync(self.forget)
            raise self._told(error, full=full) from error

    async def _fetch(self, tell: Tell | None) -> str:
        git = await self._git()
        branch = self.address.branch
        for name in (f"refs/heads/{branch}", f"refs/tags/{branch}") if branch else ("HEAD",):
            try:
                await git.run(
                    "fetch", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force",
                    "--progress", "--refmap=", "--", self.address.url, f"+{name}:{_REF}",
                    seconds=self.limits.seconds, tell=tell,
                )  # fmt: skip
            except GitFailed as error:
                if "couldn't find remote ref" not in error.said:
                    raise
                continue
            said = await git.run("rev-parse", "--verify", "--end-of-options", f"{_REF}^{{commit}}")
            return said.decode("ascii", "replace").strip()
        raise self._missing()

    @asynccontextmanager
    async def listing(
        self, commit: str, known: Mapping[str, tuple[str, str]], limits: TreeLimits
    ) -> AsyncIterator[FolderListing]:
        """The files of a commit that was fetched, as `scan_folder` lists those of a folder.

        `known` holds the stamp and SHA-256 that names had before; a stamp is the id of a content, and what is known is
        not taken out again. The paths of the rest are good until the block ends.

        Raises:
            JobError: the commit cannot be read, or is larger than `limits`.
        """
        git = await self._git()
        scratch = Path(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="files-", dir=self.folder)))
        try:
            yield await Listing(git, commit, known, limits, scratch).make()
        except GitFailed as error:
            raise self._told(error) from error
        finally:
            await to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))

    def forget(self) -> None:
        """Delete the copy. Blocks."""
        remove_copy(self.folder)

    async def _git(self) -> Git:
        address = self.address
        tokens = {host: token for host, token in self.tokens.items() if host.lower() == address.host}
        git = Git(folder=self.folder, protocols=(address.protocol,), limits=self.limits, tokens=tokens)
        if not (self.folder / "HEAD").exists():
            await to_thread.run_sync(lambda: self.folder.mkdir(mode=0o700, parents=True, exist_ok=True))
            try:
                await git.run("init", "--quiet", "--bare", "--template=")
            except GitFailed as error:
                raise self._told(error) from error
        return git

    def _spent(self) -> bool:
        """Is the copy larger than it may be, or of too many pieces. What a killed run left is deleted."""
        for old in self.folder.glob("files-*"):
            shutil.rmtree(old, ignore_errors=True)
        packs = self._packs()
        return len(packs) > 3 * _MAX_PACKS or sum(packs) > self.limits.bytes

    def _full(self) -> bool:
        """Did a download end where the kernel lets no file grow. git does not say so."""
        return max(self._packs(), default=0) >= self.limits.bytes

    def _packs(self) -> list[int]:
        return [pack.stat().st_size for pack in (self.folder / "objects" / "pack").glob("*")]

    def _missing(self) -> JobError:
        what = f"no branch or tag {self.address.branch!r}" if self.address.branch else "no commit yet"
        return JobError(f"The repository has {what}.", where=self.address.url)

    def _told(self, error: GitFailed, *, full: bool = False) -> JobError:
        """What git said, in words of ours where it is known."""
        where = self.address.url
        if full:
            limit = self.limits.bytes >> 20
            return JobError(f"The repository is larger than {limit:,} MiB.", where=where, hint="Raise git.max_mb.")
        for signs, message, hint in _KNOWN:
            if any(sign in error.said for sign in signs):
                return JobError(message, where=where, hint=hint)
        lines = [line for line in error.said.splitlines() if line.startswith(("fatal:", "error:"))]
        said = lines[-1].partition(":")[2].strip() if lines else f"it ended with {error.code}"
        return JobError(f"git cannot read the repository: {said[:300]}", where=where)


def copy_folder(home: Path, origin: str) -> Path:
    """The folder of the copy of an origin (`git:URL#branch`)."""
    return home / hashlib.sha256(origin.encode()).hexdigest()[:32]


def remove_copy(folder: Path) -> bool:
    """Delete a copy; was there one. Raises OSError where something of it stays."""
    if not folder.exists():
        return False
    shutil.rmtree(folder)
    return True


_REFUSED = ("Authentication failed", "could not read Username", "could not read Password", "Permission denied (",
            "terminal prompts disabled", "The requested URL returned error: 401", "returned error: 403")  # fmt: skip
_KNOWN: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
    (
        _REFUSED,
        "The repository asks for credentials, or refuses those that this machine has.",
        "Set up git's credential helper or an SSH key for whoever runs the server, or [git] tokens of the settings.",
    ),
    (("Host key verification failed",), "The SSH host is not known.", "Connect once by hand: 'ssh -T git@HOST'."),
    (("Out of memory", "Cannot allocate memory", "died of signal 9"),
     "Reading the repository takes too much memory.", "Raise ingest.memory_mb."),
    (("dubious ownership",), "The repository belongs to another user.", "See git's setting safe.directory."),
    (("not allowed",), "The repository is not read over this protocol.", None),
    (("Could not resolve host", "Connection refused", "Connection timed out", "Failed to connect", "No route to host",
      "Network is unreachable", "Name or service not known", "Temporary failure in name resolution"),
     "The host of the repository cannot be reached.", "Is the name right, and is there a network?"),
    (("transfer closed", "early EOF", "RPC failed", "remote end hung up", "Operation too slow"),
     "The connection broke.", "It is tried again at the next synchronisation."),
    (("Repository not found", "not found", "does not exist", "does not appear to be a git repository"),
     "There is no such repository, or this machine may not read it.", "Is the URL right?"),
)  # fmt: skip
"""What git says → what we say; the first that fits."""


def _is_refusal(said: str) -> bool:
    return any(sign in said for sign in _REFUSED)


def _ref(line: str) -> tuple[str, str]:
    commit, _, name = line.partition("\t")
    return name, commit
