"""Voices and ears that the user has installed: neural models on the processor, each in a process of its own."""
