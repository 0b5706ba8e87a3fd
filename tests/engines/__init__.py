"""Engines, each against what it really talks to."""
