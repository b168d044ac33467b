"""From bytes to a checked body, and from pydantic's errors to ours."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from athanor.errors import InputError, TooLargeError, UnsupportedError

MOST_VALUES = 250_000
"""In one body, by its commas. Parsing holds everything else up: this many values take about a second."""
MOST_ERRORS = 100
"""That are told apart; a million of them cost gigabytes."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRANCHES = frozenset({"str", "int", "float", "bool", "none", "dict", "list"})
"""Names that pydantic gives to the branches of a union; they are no part of the path in the body."""


def _encodable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"This JSON cannot be passed on: {error}") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_encodable)]
"""Any object of which every engine and store can make JSON again: numbers of 64 bits, not too deep."""
ModelName = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""It reaches headers, logs and the ledger: no control characters."""
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class Incoming(BaseModel):
    """A request body. Unknown fields are refused: a parameter that does nothing would deceive its sender."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    REFUSED: ClassVar[dict[str, str]] = {}
    """Fields of the API that are known and not supported, and what to do instead."""


Body = TypeVar("Body", bound=Incoming)


def parse(model: type[Body], raw: bytes) -> Body:
    """Decode and check a JSON body in one pass. Unknown fields that are null are as good as absent.

    Raises:
        UnsupportedError: a field that this API does not have, or that is not supported.
        InputError: no JSON, or not of the right shape.
        TooLargeError: too many values.
    """
    check_json(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            raise InputError(f"More than {MOST_ERRORS} things in this body are wrong.", where="body") from None
        errors = error.errors(include_url=False, include_context=False)
    if all(e["type"] == "extra_forbidden" and e["input"] is None for e in errors):
        body: Any = orjson.loads(raw)
        for found in errors:
            _drop(body, found["loc"])
        return parse(model, orjson.dumps(body))
    raise _problem(model, errors)


def check_json(raw: bytes) -> None:
    """What pydantic lets pass: bodies of very many values, and NaN and Infinity, which are no JSON.

    Raises:
        InputError: no JSON.
        TooLargeError: too many values.
    """
    if len(raw) > MOST_VALUES and raw.count(b",") > MOST_VALUES:
        hint = "Commas are counted, those in texts too. Send less at once."
        raise TooLargeError(f"The body holds more than {MOST_VALUES:,} values.", where="body", hint=hint)
    if b"NaN" in raw or b"Infinity" in raw:  # in a text, perhaps
        try:
            orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise InputError(f"Invalid JSON: {error}.", where="body") from None


def _drop(body: Any, path: tuple[int | str, ...]) -> None:
    *parents, name = path
    for step in parents:
        try:
            body = body[step]
        except (KeyError, TypeError):  # the branch of a union: no part of the path
            continue
    body.pop(name, None)


def _problem(model: type[Incoming], errors: list[Any]) -> InputError:
    """The error that says most: of several readings of one value, the one that came furthest."""
    worst = max(errors, key=lambda e: len(e["loc"]))
    where = ".".join(_path(worst["loc"])) or "body"
    if worst["type"] == "extra_forbidden":
        hint = model.REFUSED.get(where)
        return UnsupportedError(f"The parameter `{where}` is not supported.", where=where, hint=hint or "Leave it out.")
    return InputError(f"{worst['msg'].removeprefix('Value error, ')}.", where=where)


def _path(steps: tuple[int | str, ...]) -> list[str]:
    found: list[str] = []
    for step in steps:
        if isinstance(step, int):
            found.append(str(step))
        elif _NAME.fullmatch(step) and step not in _BRANCHES and (not found or found[-1] != step):
            found.append(step)
    return found
