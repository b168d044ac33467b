"""`python -m athanor`."""

from athanor.cli import main

if __name__ == "__main__":
    main()
