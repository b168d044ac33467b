"""Git repositories as sources: which addresses are taken, what is read of a commit, and what a hostile one can do."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from athanor.data import FolderListing
from athanor.data.git import GitLimits, Repository, TreeLimits, git_address, is_git
from athanor.data.git.program import Git, GitFailed
from athanor.errors import InputError, JobError
from tests.data.repositories import Made, repository

pytestmark = pytest.mark.anyio

LIMITS = TreeLimits(file_bytes=1 << 20, entries=1000, bytes=4 << 20)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return repository(tmp_path / "origin")


def source(made: Made, home: Path, branch: str = "main", **limits: float) -> Repository:
    address = git_address(f"{made.path}#{branch}" if branch else str(made.path))
    return Repository(address=address, home=home, limits=GitLimits(**limits))  # type: ignore[arg-type]


async def read(
    repository: Repository, known: dict[str, tuple[str, str]] | None = None, limits: TreeLimits = LIMITS
) -> tuple[FolderListing, dict[str, bytes]]:
    commit = await repository.fetch()
    async with repository.listing(commit, known or {}, limits) as listing:
        return listing, {f.source: f.path.read_bytes() for f in listing.files if f.path.is_file()}


# -- addresses


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Example.org/team/docs.git", "git:https://example.org/team/docs.git"),
        ("https://example.org/team/docs/#v1.2", "git:https://example.org/team/docs#v1.2"),
        ("git:https://example.org:8443/docs#feature/x", "git:https://example.org:8443/docs#feature/x"),
        ("git@example.org:team/docs.git#main", "git:ssh://git@example.org/team/docs.git#main"),
        ("ssh://git@[::1]:2222/docs", "git:ssh://git@[::1]:2222/docs"),
        ("file:///srv/docs.git#main", "git:/srv/docs.git#main"),
        ("git:/srv/docs.git", "git:/srv/docs.git"),
    ],
)
def test_addresses_are_written_in_one_way(text: str, origin: str) -> None:
    assert is_git(text)
    assert git_address(text).origin == origin
    assert git_address(origin).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "ext::sh -c touch% /tmp/x",
        "git:ext::sh",
        "fd::7",
        "http://example.org/docs",
        "git://example.org/docs",
        "ftp://example.org/docs",
        "https://example.org",
        "https:///docs",
        "https://-oProxyCommand=x/docs",
        "ssh://-oProxyCommand=x/docs",
        "ssh://git@-oProxyCommand=x/docs",
        "ssh://-x@example.org/docs",
        "ssh://example.org/--upload-pack=x",
        "ssh://example.org/-x",
        "-oProxyCommand=x:docs",
        "--upload-pack=touch /tmp/x",
        "git:--upload-pack=x",
        "git:relative/path",
        "/srv/../etc",
        "https://example.org/docs\n.git",
        "https://example.org/a b",
        "https://example.org\\@evil.example/docs",
        "https://example.org/docs#--upload-pack=x",
        "https://example.org/docs#a..b",
        "https://example.org/docs#a b",
        "https://example.org/docs#refs/heads/x:refs/heads/y",
        "https://example.org/docs#a^{tree}",
        "https://example.org/docs#x.lock",
        "https://example.org/" + "x" * 3000,
        "https://example.org:99999/docs",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        git_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter2@example.org/docs",
        "https://hunter2@example.org/docs",
        "https://@example.org/docs?private_token=hunter2",
        "ssh://git:hunter2@example.org/docs",
        "http://ada:hunter2@example.org/docs",
        "ftp://hunter2@example.org/docs",
        "https://ada:hunter2@exam ple.org/docs",
        "https://example.org/docs?token=hunter2",
        "git:https://ada:hunter2@example.org/docs#main",
    ],
)
def test_credentials_are_refused_and_not_told(text: str) -> None:
    with pytest.raises(InputError) as caught:
        git_address(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


# -- reading


async def test_files_of_a_branch_are_listed_with_their_contents(made: Made, tmp_path: Path) -> None:
    made.write("docs/a.md", "# A")
    made.write("src/b.py", "x = 1\n")
    made.write(".github/w.yml", "x")
    made.write("node_modules/x.js", "x")
    made.write("Übung.md", "ü")
    first = made.commit()
    made.git("branch", "old")
    made.git("tag", "-a", "v1", "-m", "x")
    made.write("docs/a.md", "# A, again")
    second = made.commit()
    home = tmp_path / "git"
    assert await source(made, home).look() == second
    assert await source(made, home, "").look() == second
    assert await source(made, home, "old").look() == first
    assert await source(made, home, "v1").look() == first
    listing, found = await read(source(made, home))
    assert found == {"docs/a.md": b"# A, again", "src/b.py": b"x = 1\n", "Übung.md": "ü".encode()}
    assert listing.problems == listing.skipped == ()
    _, old = await read(source(made, home, "v1"))
    assert old["docs/a.md"] == b"# A"
    with pytest.raises(JobError, match="no branch or tag 'none'"):
        await source(made, home, "none").look()
    with pytest.raises(JobError, match="no branch or tag 'none'"):
        await source(made, home, "none").fetch()


async def test_what_is_known_is_not_taken_out_again(made: Made, tmp_path: Path) -> None:
    made.commit(a="one", b="two")
    repository = source(made, tmp_path / "git")
    listing, _ = await read(repository)
    known = {file.source: (file.stamp, file.sha256) for file in listing.files}
    made.write("b.md", "three")
    made.git("mv", "a.md", "c.md")
    made.commit()
    listing, found = await read(repository, known)
    assert {file.source for file in listing.files} == {"b.md", "c.md"}
    assert found == {"b.md": b"three", "c.md": b"one"}
    known = {file.source: (file.stamp, file.sha256) for file in listing.files}
    again, found = await read(repository, known)
    assert found == {}
    assert [file.sha256 for file in again.files] == [file.sha256 for file in listing.files]


async def test_only_the_newest_commit_is_brought_and_nothing_is_left_over(made: Made, tmp_path: Path) -> None:
    made.commit(a="a secret of before")
    made.commit(a="now")
    repository = source(made, tmp_path / "git")
    await read(repository)
    assert not [*repository.folder.glob("files-*")]
    assert stat.S_IMODE(repository.folder.stat().st_mode) == 0o700
    git = Git(folder=repository.folder, protocols=())
    assert (await git.run("rev-list", "--count", "refs/athanor/head")).strip() == b"1"
    assert not [*(repository.folder / "hooks").glob("*")]


async def test_no_commit_no_repository_no_git(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match="no commit yet"):
        await source(made, tmp_path / "git", "").look()
    with pytest.raises(JobError, match="no such repository"):
        await Repository(address=git_address(f"{tmp_path}/nothing"), home=tmp_path / "git").look()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(JobError, match="not installed"):
        await Repository(address=git_address(f"{tmp_path}/other"), home=tmp_path / "git").look()


# -- hostile repositories


async def test_links_submodules_and_stand_ins_are_told_apart(made: Made, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("outside")
    made.write("docs/a.md", "a")
    for name, target in (
        ("in", "docs/a.md"), ("folder", "docs"), ("out", "../outside.md"), ("root", "/etc/passwd"),
        ("docs/up", "../../outside.md"), ("broken", "nowhere"),
    ):  # fmt: skip
        (made.path / name).symlink_to(target)
    made.write("big.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    made.git("add", "--all")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},modules/x")
    made.git("commit", "--quiet", "--message", "x")
    listing, found = await read(source(made, tmp_path / "git"))
    assert found == {"docs/a.md": b"a"}
    assert {name: problem.reason for name, problem in listing.problems} == {
        "out": "outside_folder",
        "root": "outside_folder",
        "docs/up": "outside_folder",
        "broken": "unreadable",
    }
    assert [name for name, _ in listing.skipped] == ["big.bin", "modules/x"]
    assert "submodule" in dict(listing.skipped)["modules/x"]
    assert "LFS" in dict(listing.skipped)["big.bin"]


async def test_names_that_would_lead_out_are_only_names(made: Made, tmp_path: Path) -> None:
    blob = made.blob(b"hostile")
    good = made.blob(b"good")
    inner = made.raw_tree(("100644", b"escape.md", blob))
    dotgit = made.raw_tree(("100644", b"config", blob))
    made.point(
        made.raw_tree(
            ("40000", b"..", inner),
            ("40000", b".git", dotgit),
            ("100644", b"../../up.md", blob),
            ("100644", b"/tmp/abs.md", blob),
            ("100644", b"bad\nname.md", blob),
            ("100644", b"caf\xe9.md", good),
            ("100644", b"good.md", good),
            ("100644", b"good.md", blob),
            ("100644", b"--help", good),
            ("40000", b"x" * 2000, inner),
        )
    )
    before = sorted(path for path in tmp_path.rglob("*") if "git" not in path.parts)
    listing, found = await read(source(made, tmp_path / "git"))
    assert found == {"caf\\xe9.md": b"good", "good.md": b"good", "--help": b"good"}
    assert len(listing.problems) == 6
    assert all(problem.reason == "unreadable" for _, problem in listing.problems)
    assert sorted(path for path in tmp_path.rglob("*") if "git" not in path.parts) == before


async def test_huge_files_are_not_taken_out(made: Made, tmp_path: Path) -> None:
    made.write("huge.txt", b"0" * (2 << 20))
    made.commit(a="a")
    listing, found = await read(source(made, tmp_path / "git"))
    assert found == {"a.md": b"a"}
    assert [(name, problem.reason) for name, problem in listing.problems] == [("huge.txt", "too_large")]


async def test_a_download_and_a_tree_are_bounded(made: Made, tmp_path: Path) -> None:
    for number in range(4):
        made.write(f"{number}.bin", os.urandom(1 << 20))
    made.commit()
    small = source(made, tmp_path / "small", bytes=1 << 20)
    with pytest.raises(JobError, match="larger than 1 MiB"):
        await small.fetch()
    assert not small.folder.exists()
    large = source(made, tmp_path / "git")
    with pytest.raises(JobError, match="more than 2 MiB"):
        await read(large, limits=TreeLimits(file_bytes=2 << 20, entries=1000, bytes=2 << 20))
    with pytest.raises(JobError, match="more than 3 files"):
        await read(large, limits=TreeLimits(file_bytes=2 << 20, entries=3, bytes=8 << 20))
    assert not [*large.folder.glob("files-*")]


async def test_a_tree_of_trees_of_trees_ends(made: Made, tmp_path: Path) -> None:
    tree = made.raw_tree(("100644", b"a.md", made.blob(b"x")))
    for _ in range(12):
        tree = made.raw_tree(*(("40000", b"t%d" % number, tree) for number in range(10)))
    made.point(tree)
    repository = source(made, tmp_path / "git")
    with anyio.fail_after(60):
        with pytest.raises(JobError, match="more than 1,000 files"):
            await read(repository)


async def test_programs_that_a_repository_names_are_not_run(made: Made, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {ran}\n"
    made.write(".gitattributes", "* filter=evil diff=evil\n")
    made.write(
        ".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {ran}"\n\tupdate = !touch {ran}\n'
    )
    made.commit(a="a")
    made.git("config", "filter.evil.smudge", f"touch {ran}")
    made.git("config", "uploadpack.packObjectsHook", f"touch {ran}; exec")
    made.git("config", "core.fsmonitor", f"touch {ran}")
    for hook in ("post-checkout", "post-merge", "reference-transaction", "pre-receive", "post-update"):
        path = made.path / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
    repository = source(made, tmp_path / "git")
    await repository.fetch()
    # Also where the copy itself was tampered with.
    hook = repository.folder / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(script)
    hook.chmod(0o755)
    quiet = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    made.git(*quiet, "commit", "--quiet", "--allow-empty", "--message", "x")
    assert await repository.look() == await repository.fetch()
    _, found = await read(repository)
    assert set(found) == {"a.md"}
    assert not ran.exists()


async def test_a_protocol_that_a_configuration_rewrites_to_is_refused(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[url "ext::touch {ran} "]\n\tinsteadOf = https://example.org/\n[protocol "ext"]\n\tallow = always\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with pytest.raises(JobError, match="protocol"):
        await Repository(address=git_address("https://example.org/x"), home=tmp_path / "git").look()
    assert not ran.exists()


async def test_the_environment_of_the_server_is_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\nenv > {ran}\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(tool))
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    with pytest.raises(JobError):
        await Repository(address=git_address("ssh://git@127.0.0.1:1/x"), home=tmp_path / "git").look()
    seen = ran.read_text()
    assert "hunter2" not in seen
    assert "GIT_TERMINAL_PROMPT=0" in seen
    assert "/elsewhere" not in seen
    assert not (tmp_path / "trace").exists()


async def test_a_token_goes_to_its_host_and_into_no_error(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            heads.append(await client.receive())
            await client.send(b"HTTP/1.1 401 no\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    git = Git(
        folder=tmp_path,
        protocols=("http",),
        tokens={f"127.0.0.1:{port}": "hunter2", "example.org": "other"},
    )
    assert "hunter2" not in repr(git)
    # The one place where http is spoken: a token's header is set for https, so it must not be sent here at all.
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        with pytest.raises(GitFailed) as caught:
            await git.run("ls-remote", f"http://127.0.0.1:{port}/x")
        group.cancel_scope.cancel()
    assert heads
    assert not any(b"uthorization" in head for head in heads)
    assert "hunter2" not in caught.value.said
    environment = git._environment()
    assert environment["GIT_CONFIG_KEY_0"] == f"http.https://127.0.0.1:{port}/.extraHeader"
    assert "hunter2" not in " ".join(environment.values())


async def test_what_git_says_is_cleaned_of_credentials(tmp_path: Path) -> None:
    git = Git(folder=tmp_path, protocols=("file",), tokens={"h": "hunter3"})
    with pytest.raises(GitFailed) as caught:
        await git.run("ls-remote", "https://ada:hunter2@127.0.0.1:1/hunter3")
    assert "hunter" not in caught.value.said


# -- ends that were not foreseen


async def test_a_killed_download_is_made_good(made: Made, tmp_path: Path) -> None:
    made.commit(a="a")
    repository = source(made, tmp_path / "git")
    await repository.fetch()
    (repository.folder / "shallow.lock").write_text("")
    (repository.folder / "objects/pack/tmp_pack_x").write_text("half")
    (repository.folder / "files-old").mkdir()
    made.commit(b="b")
    _, found = await read(repository)
    assert set(found) == {"a.md", "b.md"}
    assert not (repository.folder / "files-old").exists()
    assert not (repository.folder / "shallow.lock").exists()


@pytest.fixture
def waiting_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What git starts in place of ssh: it writes its process id here, and waits."""
    started = tmp_path / "started"
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho $$ > {started}.new\nmv {started}.new {started}\nexec sleep 600\n")
    tool.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(tool))
    return started


async def begun(started: Path) -> None:
    with anyio.fail_after(30):
        while not started.exists():
            await anyio.sleep(0.01)


async def gone(started: Path) -> None:
    stat = Path(f"/proc/{int(started.read_text())}/stat")
    with anyio.fail_after(30):
        while stat.exists() and "Z" not in stat.read_text().split()[2]:
            await anyio.sleep(0.01)


async def test_a_stopped_download_leaves_no_process(tmp_path: Path, waiting_tool: Path) -> None:
    repository = Repository(address=git_address("ssh://git@127.0.0.1:1/x"), home=tmp_path / "git")
    async with anyio.create_task_group() as group:
        group.start_soon(repository.look)
        await begun(waiting_tool)
        group.cancel_scope.cancel()
    await gone(waiting_tool)
    slow = Repository(
        address=git_address("ssh://git@127.0.0.1:1/x"), home=tmp_path / "git", limits=GitLimits(look_seconds=0.2)
    )
    with pytest.raises(JobError, match="took longer"):
        await slow.look()


async def test_a_download_stopped_while_git_starts_leaves_no_process(
    tmp_path: Path, waiting_tool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.create_subprocess_exec
    repository = Repository(address=git_address("ssh://git@127.0.0.1:1/x"), home=tmp_path / "git")
    async with anyio.create_task_group() as group:

        async def slow_start(*arguments: Any, **settings: Any) -> asyncio.subprocess.Process:
            process = await start(*arguments, **settings)
            if "ls-remote" in arguments:
                await begun(waiting_tool)
                group.cancel_scope.cancel()
                await anyio.sleep(0)
            return process

        monkeypatch.setattr(asyncio, "create_subprocess_exec", slow_start)
        group.start_soon(repository.look)
    await gone(waiting_tool)
