"""Chatterbox (Resemble AI, MIT): a neural voice of 0.5 B parameters that speaks in any voice it has a recording of."""
