"""From bytes to text: certain where the bytes say so, strict where they have to be guessed.

Order: byte-order mark; a declared encoding (HTML, XML); UTF-8; UTF-16 without a mark, seen by its NUL pattern;
Windows-1252 when the bytes look like a Western European language. Anything else is refused: text in a wrong encoding
would be indexed as noise that nobody finds and nobody misses.
"""

from __future__ import annotations

import codecs
import re

from athanor.errors import DocumentError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: it begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_HIGH = re.compile(rb"[\x80-\xff]+")
# Bytes of Windows-1252 that stand for letters of Western languages or for the punctuation of word processors.
_WESTERN = frozenset(
    b"\x80\x82\x84\x85\x8a\x8c\x91\x92\x93\x94\x95\x96\x97\x99\x9a\x9c\x9f\xa0\xa1\xa3\xa7\xa9\xab\xad\xae\xb0\xb1\xb2\xb3\xb4\xb5\xb7\xb9\xba\xbb\xbc\xbd\xbe\xbf"
) | frozenset(range(0xC0, 0x100))
_SAMPLE = 1 << 20


def normalise_newlines(text: str) -> str:
    """Line ends as `\\n`, as Python and every editor show them."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def decode(data: bytes, name: str, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Text of `data` with `\\n` line ends and without a byte-order mark, and warnings for people.

    Raises:
        DocumentError: reason `encoding`: binary data, or an encoding that cannot be told with certainty.
    """
    text, warnings = _decode(data, name, declared)
    return normalise_newlines(text), warnings


def looks_binary(head: bytes) -> bool:
    """Whether `head`, the first bytes of a file, cannot be text in any encoding that `decode` reads."""
    if any(head.startswith(mark) for mark, _ in _MARKS) or _utf16_by_pattern(head):
        return False
    return b"\0" in head or len(_CONTROLS.findall(head)) > len(head) // 50


def _decode(data: bytes, name: str, declared: str | None) -> tuple[str, tuple[str, ...]]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding), ()
            except UnicodeDecodeError as error:
                raise _refusal(
                    name, f"It says it is {encoding.upper()} but is not, from byte {error.start} on."
                ) from None
    if looks_binary(data[:_SAMPLE]):
        raise _refusal(name, "It holds binary data, not text.")
    if declared and (text := _declared(data, declared)) is not None:
        return text, ()
    if wide := _utf16_by_pattern(data[:_SAMPLE]):
        try:
            return data.decode(wide), (f"No byte-order mark; read as {wide.upper()}.",)
        except UnicodeDecodeError:
            raise _refusal(name, "It looks like UTF-16 but is not valid.") from None
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        return _western(data, name, error.start)


def _declared(data: bytes, encoding: str) -> str | None:
    try:
        # A page that declares Latin-1 means Windows-1252: so does every browser.
        found = codecs.lookup(encoding).name
        if found.startswith("utf-16"):
            return None  # a declaration that could be read as ASCII cannot be UTF-16
        return data.decode("cp1252" if found in {"iso8859-1", "ascii"} else found)
    except (LookupError, UnicodeDecodeError, ValueError):
        return None


def _utf16_by_pattern(head: bytes) -> str | None:
    if len(head) < 4 or b"\0" not in head:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > half * 0.4 and even < half * 0.02:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.02:
        return "utf-16-be"
    return None


def _western(data: bytes, name: str, position: int) -> tuple[str, tuple[str, ...]]:
    sample = data[:_SAMPLE] if position < _SAMPLE else data[position - 1024 : position + _SAMPLE]
    runs = _HIGH.findall(sample)
    high = sum(map(len, runs))
    lonely = sum(len(run) for run in runs if len(run) <= 2)
    western = sum(byte in _WESTERN for run in runs for byte in run)
    # Letters with accents are few and stand alone in Western languages; other scripts are made of high bytes.
    if high > 0.2 * len(sample) or lonely < 0.9 * high or western < 0.95 * high:
        raise _refusal(name, f"It is not UTF-8 (byte {position}), and its encoding cannot be told.")
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise _refusal(name, f"It is not UTF-8 (byte {position}) and not Windows-1252.") from None
    return text, ("Not UTF-8; read as Windows-1252. Letters outside Western European languages may be wrong.",)


def _refusal(name: str, message: str) -> DocumentError:
    hint = "Save it as UTF-8, for example with: iconv -f ITS_ENCODING -t UTF-8 FILE."
    return DocumentError(message, reason="encoding", where=name, hint=hint)
