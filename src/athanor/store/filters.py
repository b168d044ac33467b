"""Attributes of documents: what may be stored, and which documents a filter leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Text, cast, select

from athanor.errors import InputError
from athanor.store import tables as t
from athanor.store.views import seen_documents
from athanor.types import Filter, View, matches

MAX_ATTRIBUTES = 16
MAX_KEY = 64
"""Characters."""
MAX_VALUE = 512
"""Characters."""


def checked(attributes: Mapping[str, object], *, where: str) -> dict[str, Any]:
    """`attributes` as they are stored.

    Raises:
        InputError: there are too many, one is too long, or one is neither text, nor a finite number, nor a boolean.
    """
    if len(attributes) > MAX_ATTRIBUTES:
        raise InputError(f"A document has at most {MAX_ATTRIBUTES} attributes, not {len(attributes)}.", where=where)
    for key, value in attributes.items():
        if not 0 < len(key) <= MAX_KEY or not _storable(key):
            raise InputError(f"An attribute's name has 1 to {MAX_KEY} characters and no NUL.", where=where)
        if isinstance(value, str):
            if len(value) > MAX_VALUE or not _storable(value):
                raise InputError(f"The attribute {key!r} holds NUL or more than {MAX_VALUE} characters.", where=where)
        elif not isinstance(value, bool | int | float) or not math.isfinite(value):
            raise InputError(f"The attribute {key!r} is neither text, nor a number, nor a boolean.", where=where)
    # Whole numbers that a float cannot hold would differ between databases.
    return {key: float(v) if type(v) is int and abs(v) > 2**53 else v for key, v in attributes.items()}


def matching(conn: Connection, base: int, condition: Filter, view: View) -> frozenset[str]:
    """Ids of the documents of the base (by seq) that `view` shows and that satisfy `condition`.

    Filters are evaluated here, not by the databases, which disagree on numbers, booleans and the order of text.
    Documents often share their attributes, so each different text of them is read once.
    """
    columns = t.documents.c
    query = select(columns.id, cast(columns.attributes, Text)).where(columns.base == base)
    verdicts: dict[str, bool] = {}
    found = []
    for document, text in conn.execute(query.where(*seen_documents(conn, view))):
        verdict = verdicts.get(text)
        if verdict is None:
            verdict = verdicts[text] = matches(condition, orjson.loads(text))
        if verdict:
            found.append(document)
    return frozenset(found)


def _storable(text: str) -> bool:
    # Neither database keeps NUL, and lone surrogates are no Unicode text.
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)
