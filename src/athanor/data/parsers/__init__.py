"""Our parsers, one file per format, found as any plug-in is: through the entry-point group `athanor.parsers`."""
