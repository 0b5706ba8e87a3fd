"""Voices and ears: each module is one way to turn text into sound or sound into text."""
