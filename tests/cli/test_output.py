from __future__ import annotations

import io
import json

import pytest

from athanor.cli.output import Screen, print_json, show, shown, size


def test_cells_are_data_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show([], json_=False, columns=("NAME", "ID"), rows=[("athanor[console]", "[red]x[/red]")], empty="")
    printed = capsys.readouterr().out
    assert "athanor[console]" in printed
    assert "[red]x[/red]" in printed


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")])
def test_sizes_for_people(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize("split", range(1, 12))
def test_text_cannot_steer_the_terminal_wherever_a_stream_parts_it(split: int) -> None:
    said = "\x1b]52;c;ZXZpbA==\x07 a\x9b2J\rb\x08"
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, highlight=False)
    for piece in (said[:split], said[split:]):
        screen.print(piece, end="", markup=False, soft_wrap=True)
    assert not [c for c in file.getvalue() if not c.isprintable()]
    assert "ZXZpbA==" in file.getvalue()


def test_own_styles_line_ends_and_tabs_stay() -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, color_system="standard", highlight=False)
    screen.print("[red]a[/]\nb\x1b[2J")
    assert file.getvalue() == "\x1b[31ma\x1b[0m\nb␛[2J\n"
    assert shown("a\tb\r\nc") == "a\tb\nc"


def test_cells_of_tables_cannot_steer_either(capsys: pytest.CaptureFixture[str]) -> None:
    show([], json_=False, columns=("NAME",), rows=[("x\x1b[2Jy",)], empty="")
    assert "x␛[2Jy" in capsys.readouterr().out


def test_json_holds_them_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": "\x1b[2J\x9b2J\x7f"})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"a": "\x1b[2J\x9b2J\x7f"}
