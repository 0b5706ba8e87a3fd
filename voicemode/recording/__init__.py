"""Sounds that are kept: what was said and heard, on one clock, with what is known of each turn."""
