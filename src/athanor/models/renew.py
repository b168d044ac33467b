"""`python -m athanor.models.renew FOLDER…`: write the manifests of packaged weights anew (`make manifest`)."""

from __future__ import annotations

import sys
from pathlib import Path

from athanor.errors import ModelError
from athanor.models.manifest import NAME, make, read


def renew(folder: Path) -> Path:
    """Write the unsigned manifest of a folder of packaged files: all but Python's and itself."""
    names = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != NAME and path.suffix not in {".py", ".pyc"}
    ]
    target = folder / NAME
    fresh = make(folder, names)
    try:
        same = read(target.read_bytes(), str(target)).files == read(fresh, str(target)).files
    except (ModelError, OSError):
        same = False
    if not same:
        target.write_bytes(fresh)
    return target


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(renew(Path(argument)))
