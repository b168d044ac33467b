"""Documents: found, read in a sandbox, and brought to text with structure."""

from athanor.data.base import FileKind, Member, Parser
from athanor.data.containers import file_kind, is_container
from athanor.data.folder import FolderListing, SourceFile, file_sha256, scan_folder
from athanor.data.limits import ParserLimits
from athanor.data.sandbox import ParserPool, ParserStatistics

__all__ = [
    "FileKind",
    "FolderListing",
    "Member",
    "Parser",
    "ParserLimits",
    "ParserPool",
    "ParserStatistics",
    "SourceFile",
    "file_kind",
    "file_sha256",
    "is_container",
    "scan_folder",
]
