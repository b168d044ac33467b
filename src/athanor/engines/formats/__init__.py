"""Wire formats that more than one adapter speaks. Adapters do not import each other; they share these."""
