from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athanor.errors import ModelError
from athanor.models import read_header
from tests.models.makers import gguf, pair, text


def write(tmp_path, data):
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    return path


def test_a_header_is_read(tmp_path):
    header = read_header(write(tmp_path, gguf() + bytes(100)))
    assert (header.architecture, header.name, header.licence) == ("llama", "Tiny Test", "mit")
    assert (header.context, header.chat_template, header.version) == (4096, True, 3)


HUGE = struct.pack("<Q", 2**62)
BAD = {
    "empty": b"",
    "magic": b"GGML" + bytes(40),
    "version": gguf(version=1),
    "big endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 1),
    "pairs": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40),
    "tensors": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
    "key": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + HUGE,
    "text": gguf(extra=(text("general.x") + struct.pack("<I", 8) + HUGE,)),
    "list": gguf(extra=(pair("x", 9, struct.pack("<I", 4) + HUGE),)),
    "long list": gguf(extra=(pair("x", 9, struct.pack("<IQ", 8, 4_000_000)),)),
    "type": gguf(extra=(pair("x", 99, b""),)),
    "nested": gguf(extra=(pair("x", 9, struct.pack("<IQ", 9, 1) * 50),)),
    "cut": gguf()[:-5],
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_hostile_header_is_refused(tmp_path, data):
    with pytest.raises(ModelError, match="no usable GGUF"):
        read_header(write(tmp_path, data))


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_header(tmp_path / "none.gguf")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(gguf()) - 1), st.integers(0, 255))
def test_any_flipped_byte_is_read_or_refused(tmp_path, place, value):
    data = bytearray(gguf())
    data[place] = value
    with contextlib.suppress(ModelError):
        read_header(write(tmp_path, bytes(data)))
