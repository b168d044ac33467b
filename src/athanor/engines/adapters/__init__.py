"""One file per engine; found through the entry points `athanor.engines`, not imported from here."""
