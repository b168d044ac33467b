"""Where a repository is: which URLs are taken, and which are refused before git sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit

from athanor.errors import InputError

LONGEST = 2000
"""Characters of an address."""
_SCP = re.compile(r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^/].*)")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
_WRONG_IN_BRANCH = re.compile(r"\.\.|@\{|//|[~^:?*\[\\\s]|^[-/]|/$|\.$|\.lock(?:/|$)|(?:^|/)\.")
_HINT = "Name it as https://HOST/PATH, ssh://git@HOST/PATH, git@HOST:PATH, or an absolute path of this machine."
_SECRETS = (
    "Take the credentials out of the URL: use git's credential helper, an SSH key, or [git] tokens of the settings."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitAddress:
    """A repository and what of it is read. Holds no credentials, and so can be shown and stored."""

    url: str
    """`https://…`, `ssh://…`, or an absolute path."""
    branch: str = ""
    """A branch or tag; empty is what the repository calls its `HEAD`."""
    host: str = ""
    """In small letters; empty for a path."""

    @property
    def protocol(self) -> str:
        """As git calls it: `https`, `ssh` or `file`."""
        return self.url.partition("://")[0] if self.host else "file"

    @property
    def origin(self) -> str:
        """`git:URL#branch`, or `git:URL`; `git_address` takes it back."""
        return f"git:{self.url}#{self.branch}" if self.branch else f"git:{self.url}"


def is_git(text: str) -> bool:
    """Does `text` name a repository, and not a folder."""
    text = text.strip()
    return text.startswith("git:") or "://" in text or "::" in text or _SCP.fullmatch(text) is not None


def git_address(text: str) -> GitAddress:
    """The address in `git:URL#branch`, `URL#branch` or `URL`.

    Raises:
        InputError: it is none, its protocol is not taken, or it carries credentials.
    """
    text = text.strip()
    if len(text) > LONGEST or not text.isprintable():
        raise InputError("This is no address of a repository.", hint=_HINT)
    url, _, branch = (text if text.startswith("git://") else text.removeprefix("git:")).partition("#")
    if branch and _WRONG_IN_BRANCH.search(branch):
        raise InputError(f"{branch!r} is no name of a branch.", where=bare(url))
    if "://" not in url and "::" not in url and (found := _SCP.fullmatch(url)):
        user = f"{found['user']}@" if found["user"] else ""
        url = f"ssh://{user}{found['host']}/{found['path']}"
    if "://" in url:
        return _remote(url, branch)
    if (
        not url.startswith("/")
        or url.startswith("//")
        or "::" in url
        or "\\" in url
        or ".." in PurePosixPath(url).parts
    ):
        raise _refused(url)
    return GitAddress(url=str(PurePosixPath(url)), branch=branch)


def bare(text: str) -> str:
    """`text` without what stands before the host of a URL in it."""
    return _CREDENTIALS.sub("", text)


def _remote(url: str, branch: str) -> GitAddress:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused(url) from error
    if parts.scheme == "file" and not host and parts.path.startswith("/"):
        return git_address(f"{parts.path}#{branch}" if branch else parts.path)
    if parts.scheme not in {"https", "ssh"}:
        name = parts.scheme if parts.scheme.isalnum() else "this"
        raise InputError(f"Repositories are not read over {name}.", where=bare(url), hint=_HINT)
    _check(parts, url, host)
    where = f"[{host}]" if ":" in host else host
    user = f"{parts.username}@" if parts.username else ""
    made = f"{parts.scheme}://{user}{where}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    return GitAddress(url=made, branch=branch, host=host)


def _check(parts: SplitResult, url: str, host: str) -> None:
    """Raises InputError."""
    secret = parts.password is not None or bool(parts.query) or (parts.scheme == "https" and "@" in parts.netloc)
    if secret:
        raise InputError("The URL carries credentials, or a query.", where=f"{parts.scheme}://{host}", hint=_SECRETS)
    wrong = not _HOST.fullmatch(host) or "\\" in url or " " in url or "::" in parts.path
    if wrong or len(parts.path.strip("/")) == 0 or parts.path.lstrip("/").startswith("-"):
        raise _refused(url)
    if parts.username is not None and not _USER.fullmatch(parts.username):
        raise _refused(url)


def _refused(url: str) -> InputError:
    return InputError("This is no address of a repository that can be read.", where=bare(url), hint=_HINT)
