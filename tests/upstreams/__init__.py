"""Vendors on loopback: one behaviour in every wire format. The last thing the user says chooses it, see `scenes.py`."""
