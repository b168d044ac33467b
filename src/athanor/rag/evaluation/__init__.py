"""How well a base finds and answers, questions to measure it by, and settings chosen by measuring."""
