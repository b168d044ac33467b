"""Personal data: recognisers of what has a form of its own, and names by a model."""

from athanor.guards.personal.finder import CATEGORIES, find, find_all

__all__ = ["CATEGORIES", "find", "find_all"]
