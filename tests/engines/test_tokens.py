from __future__ import annotations

import asyncio
import sys
from datetime import datetime

import pytest

from athanor.engines import tokens
from athanor.engines.tokens import TokenCommand
from athanor.engines.upstream import Upstream
from athanor.errors import AthanorError, EngineRefusedError, EngineUnavailableError

pytestmark = pytest.mark.anyio


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def command(tmp_path, code: str, clock: Clock | None = None) -> TokenCommand:
    """Runs Python with `n`, how often it has run before, in a file."""
    count = tmp_path / "count"
    script = f"""
import pathlib, sys, time
count = pathlib.Path({str(count)!r})
n = int(count.read_text()) if count.exists() else 0
count.write_text(str(n + 1))
{code}
"""
    return TokenCommand((sys.executable, "-c", script), clock=clock or Clock())


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ('f"token-{n}"', 299),
        ('f"  token-{n}\\n"', 299),
        ("""f'{{"accessToken": "token-{n}", "expires_on": 1003600, "expiresOn": "wrong"}}'""", 3299),
        ("""f'{{"accessToken": "token-{n}", "expires_on": "1003600"}}'""", 3299),
        ("""f'{{"access_token": "token-{n}", "expires_in": 3600}}'""", 3299),
        ("""f'{{"access_token": "token-{n}", "expires_in": 100}}'""", 79),
        (f"""f'{{{{"accessToken": "token-{{n}}", "expiresOn": "{datetime.fromtimestamp(1_003_600)}"}}}}'""", 3299),
        ("""f'{{"token": "token-{n}"}}'""", 299),
    ],
)
async def test_a_token_is_kept_and_renewed_before_its_end(tmp_path, printed, kept):
    clock = Clock()
    sign = command(tmp_path, f"print({printed})", clock)
    first = await asyncio.gather(sign(), sign(), sign())
    assert first == [{"authorization": "Bearer token-0"}] * 3
    clock.now += kept
    assert await sign() == {"authorization": "Bearer token-0"}
    clock.now += 2
    assert await sign() == {"authorization": "Bearer token-1"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.stderr.write('first line\\nPlease log in.\\n'); print('secret-token'); sys.exit(3)", "Please log in"),
        ("sys.exit(1)", "says nothing"),
        ("print('two words')", "prints no token"),
        ("print()", "prints no token"),
        ("print('{broken')", "prints no token"),
        ("print('{\"other\": 1}')", "prints no token"),
        ("print('x' * 20000)", "prints no token"),
        ("print('a\\x07b')", "prints no token"),
    ],
)
async def test_what_is_no_token(tmp_path, code, words):
    with pytest.raises(EngineRefusedError, match=words) as caught:
        await command(tmp_path, code)()
    assert "secret-token" not in str(caught.value)


async def test_a_command_that_is_missing_or_hangs(tmp_path, monkeypatch):
    with pytest.raises(EngineRefusedError, match="cannot be run"):
        await TokenCommand(("/no/such/command",))()
    monkeypatch.setattr(tokens, "_TIMEOUT", 0.2)
    with pytest.raises(EngineUnavailableError):
        await command(tmp_path, "time.sleep(60)")()


async def test_a_token_is_never_shown(tmp_path):
    sign = command(tmp_path, "print('secret-' + 'token-123')")
    upstream = Upstream("http://127.0.0.1:9/v1", sign=sign)
    with pytest.raises(AthanorError):
        async with upstream.post("/x", {}):
            pass
    assert "secret-token-123" not in repr(vars(sign))
    assert upstream.clean("You sent secret-token-123!") == "You sent [key]!"
    await upstream.aclose()
