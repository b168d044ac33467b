"""State: tables, one repository for each noun, blobs by hash, leased jobs, grouped writes."""

from athanor.store.append import Appender
from athanor.store.audit import entry_hash
from athanor.store.blobs import Blobs
from athanor.store.crypto import Cipher
from athanor.store.database import Store
from athanor.store.master import MasterKey, MasterSource
from athanor.store.near import VALUES as SIGNATURE_VALUES
from athanor.store.sqlite import check_single_library
from athanor.store.writer import GroupedWriter

__all__ = [
    "SIGNATURE_VALUES",
    "Appender",
    "Blobs",
    "Cipher",
    "GroupedWriter",
    "MasterKey",
    "MasterSource",
    "Store",
    "check_single_library",
    "entry_hash",
]
