"""Documents: found, read in a sandbox, and brought to text with structure."""

from athanor.data.base import Parser
from athanor.data.folder import FolderListing, SourceFile, file_sha256, scan_folder
from athanor.data.limits import ParserLimits
from athanor.data.sandbox import ParserPool, ParserStatistics

__all__ = [
    "FolderListing",
    "Parser",
    "ParserLimits",
    "ParserPool",
    "ParserStatistics",
    "SourceFile",
    "file_sha256",
    "scan_folder",
]
