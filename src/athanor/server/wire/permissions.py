"""Bodies of groups, of the access of documents, and of erasure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from athanor.server.wire.decoding import Incoming

_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Source = Annotated[str, Field(min_length=1, max_length=4096)]
_Names = Annotated[tuple[_Name, ...], Field(max_length=1000)]


class NewGroup(Incoming):
    """A new group; its members are cleared for `labels`."""

    name: _Name
    labels: _Names = ()


class GroupChange(Incoming):
    """The labels that its members are cleared for, in place of the old ones."""

    labels: _Names


class Member(Incoming):
    """A principal, by id or name."""

    principal: _Name


class AccessBody(Incoming):
    """Who may read the documents called `what`: a source name, or a pattern over them.

    Without a group, user or team, everybody who is cleared for the labels. `nobody` closes them, and `default` takes
    the rule away that was made for `what`.
    """

    what: _Source
    groups: _Names = ()
    users: _Names = ()
    teams: _Names = ()
    labels: _Names = ()
    nobody: bool = False
    default: bool = False


class EraseBody(Incoming):
    """A document, by its source name or id."""

    source: _Source
