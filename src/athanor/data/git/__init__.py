"""Git repositories as sources of documents."""

from athanor.data.git.address import GitAddress, git_address, is_git
from athanor.data.git.listing import TreeLimits
from athanor.data.git.program import GitLimits
from athanor.data.git.repository import Repository, copy_folder

__all__ = ["GitAddress", "GitLimits", "Repository", "TreeLimits", "copy_folder", "git_address", "is_git"]
