"""`docs/reference/routes.md` is made of the tables, so that it says what holds.

ATHANOR_WRITE_DOCS=1 makes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from athanor.console.rules import ACTIONS, PAGES, REQUESTS
from athanor.governance import Right, Rule
from athanor.governance.roles import rights_of
from athanor.server.rules import RULES, TOOLS
from athanor.types import RoleName

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "routes.md"
HEAD = """# Routes and roles

Who may use which route, page and action. This page is made of the tables that the server enforces
(`athanor.server.rules`, `athanor.console.rules`), and a test walks all of them with every role. A route without a rule
does not start.

- **Right**: what the role of the key's owner has to include; `any` lets every role in.
- **Interface**: what the key's scopes have to name, if they name any (`athanor keys create --doors`).
- **Of others**: where things belong to somebody, the rights that show those of others. Without one of them they are not
  there, in the same words as what never was. `nobody`: only one's own.

Without a good key everything under `/v1`, `/api`, `/mcp` and `/metrics` answers the same 401, whether or not it exists.
"""


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["", *(f"| {' | '.join(line)} |" for line in lines)]


def _right(rule: Rule) -> str:
    if rule.public:
        return "open to everybody"
    return "any" if rule.right is None else rule.right.value


def _others(rule: Rule) -> str:
    if rule.own is None:
        return ""
    return ", ".join(right.value for right in rule.own) or "nobody"


def _console(rules: Mapping[str, Rule], prefix: str = "") -> Iterable[tuple[str, ...]]:
    for name, rule in rules.items():
        method, space, path = name.rpartition(" ")
        yield f"`{method}{space}{prefix}{path}`", _right(rule), _others(rule)


def text() -> str:
    """The page."""
    lines = [HEAD, "## Roles"]
    rights = [right.value for right in Right]
    roles = ([role.value, *("yes" if right in rights_of(role) else "" for right in Right)] for role in RoleName)
    lines += _table(("Role", *rights), roles)
    lines += ["", "## API"]
    routes = sorted(
        (route for route, rule in RULES.items() if not rule.session), key=lambda route: route.split(" ")[::-1]
    )
    lines += _table(
        ("Route", "Right", "Interface", "Of others"),
        ((f"`{route}`", _right(RULES[route]), RULES[route].door or "", _others(RULES[route])) for route in routes),
    )
    lines += ["", "`*` stands for every method."]
    lines += _table(("Tool of `/mcp`", "Right"), ((f"`{name}`", _right(rule)) for name, rule in TOOLS.items()))
    lines += ["", "## Console", "", "Whoever has a session; it carries no key."]
    lines += _table(("Page or request", "Right", "Of others"), [
        *_console(PAGES, "/console"), *_console(REQUESTS, "/console")
    ])  # fmt: skip
    lines += _table(("Action", "Right", "Of others"), _console(ACTIONS))
    return "\n".join(lines) + "\n"


def test_the_page_says_what_the_tables_say() -> None:
    if os.environ.get("ATHANOR_WRITE_DOCS"):
        PAGE.write_text(text())
    assert PAGE.read_text() == text(), "The rules changed. ATHANOR_WRITE_DOCS=1 pytest " + __file__
