"""Where a synchronisation finds its files: in a folder of this machine, or in a git repository."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from athanor.config import GitSettings
from athanor.data import FolderListing, ParserLimits, scan_folder
from athanor.data.git import GitLimits, Repository, TreeLimits, copy_folder, git_address
from athanor.data.git.repository import remove_copy

Find = Callable[[Mapping[str, tuple[str, str]]], Awaitable[FolderListing]]
"""Lists the files of a source; given the stamp and SHA-256 that names had before, which need no reading."""
TELL_SECONDS = 1.0
"""How often a job says how far a download is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A source that is open."""

    find: Find
    state: str = ""
    """What it is at: a commit; empty for folders."""


def origin_of(arguments: Mapping[str, Any]) -> str:
    """What keeps the documents of a job with these arguments in step."""
    if "folder" in arguments:
        return f"folder:{arguments['folder']}"
    return str(arguments.get("origin", "upload"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Opens sources.

    Args:
        home: folder of the copies of repositories.
        limits: of files; `memory_bytes` bounds git too.
    """

    home: Path
    limits: ParserLimits
    settings: GitSettings = field(default_factory=GitSettings)

    @asynccontextmanager
    async def opened(
        self, arguments: Mapping[str, Any], note: Callable[[str], Awaitable[object]]
    ) -> AsyncIterator[Found | None]:
        """The source of a job with these arguments; `None` where it is at what `state` says, and nothing is to do.

        What is found stays there until the block ends.

        Args:
            note: hears what is being done.

        Raises:
            NotFoundError: there is no such folder.
            JobError: the repository cannot be reached or read.
            ConfigError: its token cannot be read.
        """
        prefix = str(arguments.get("prefix", ""))
        if "folder" in arguments:
            yield Found(find=_under(prefix, partial(self._folder, Path(arguments["folder"]))))
            return
        repository = await to_thread.run_sync(self.repository, arguments["origin"])
        await note("Looking for what is new")
        if await repository.look() == arguments.get("state") and not arguments.get("full"):
            yield None
            return
        async with AsyncExitStack() as stack:
            async with _telling(note) as tell:
                commit = await repository.fetch(tell=tell)
            limits = TreeLimits(
                file_bytes=self.limits.file_bytes, entries=self.limits.members, bytes=self.limits.unpacked_bytes
            )

            async def find(known: Mapping[str, tuple[str, str]]) -> FolderListing:
                return await stack.enter_async_context(repository.listing(commit, known, limits))

            yield Found(find=_under(prefix, find), state=commit)

    async def _folder(self, folder: Path, known: Mapping[str, tuple[str, str]]) -> FolderListing:
        limits = self.limits
        scan = partial(
            scan_folder, folder, max_bytes=limits.file_bytes, container_bytes=limits.container_bytes, known=known
        )
        return await to_thread.run_sync(scan)

    def repository(self, origin: str) -> Repository:
        """The repository of an origin (`git:URL#branch`), with the token for its host. Blocks.

        Raises:
            ConfigError: the token cannot be read.
        """
        address = git_address(origin)
        held = {host.lower(): secret for host, secret in self.settings.tokens.items()}
        secret = held.get(address.host)
        return Repository(
            address=address,
            home=self.home,
            limits=GitLimits(
                seconds=self.settings.timeout_s,
                bytes=self.settings.max_mb << 20,
                memory_bytes=self.limits.memory_bytes,
            ),
            tokens={} if secret is None else {address.host: secret.resolve().get_secret_value()},
        )

    def forget(self, origin: str) -> bool:
        """Delete what is kept of a repository, which the next synchronisation brings again; was there something."""
        return origin.startswith("git:") and remove_copy(copy_folder(self.home, origin))


def _under(prefix: str, find: Find) -> Find:
    """`find` with names that begin with `prefix`."""
    if not prefix:
        return find

    async def found(known: Mapping[str, tuple[str, str]]) -> FolderListing:
        own = {name.removeprefix(prefix): state for name, state in known.items() if name.startswith(prefix)}
        listing = await find(own)
        return FolderListing(
            files=tuple(replace(file, source=f"{prefix}{file.source}") for file in listing.files),
            problems=tuple((f"{prefix}{name}", problem) for name, problem in listing.problems),
            skipped=tuple((f"{prefix}{name}", reason) for name, reason in listing.skipped),
        )

    return found


@asynccontextmanager
async def _telling(note: Callable[[str], Awaitable[object]]) -> AsyncIterator[Callable[[str], None]]:
    """Pass on the last of what is told, from time to time."""
    said = ""

    def tell(text: str) -> None:
        nonlocal said
        said = text

    async def pass_on() -> None:
        last = ""
        while True:
            if said != last:
                last = said
                await note(last)
            await anyio.sleep(TELL_SECONDS)

    async with anyio.create_task_group() as group:
        group.start_soon(pass_on)
        try:
            yield tell
        finally:
            group.cancel_scope.cancel()
