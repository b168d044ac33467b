"""`python -m athanor.store.schema URL` prints the schema of the store at `URL`, made there if need be."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from athanor.store.database import Store
from athanor.store.schema import dump


def main(arguments: list[str]) -> int:
    """Print the schema; the exit code is 2 when no URL is given."""
    if len(arguments) != 1:
        print("usage: python -m athanor.store.schema URL > src/athanor/store/schema/DIALECT.sql", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as blobs:
        store = Store.open(arguments[0], blobs=Path(blobs))
        with store.read() as conn:
            print(dump(conn).rstrip())
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
