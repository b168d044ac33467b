"""Toxicity, harmful requests and topics: what they are trained on, how, and the heads that come of it."""
