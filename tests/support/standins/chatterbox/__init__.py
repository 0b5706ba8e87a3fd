"""A stand-in for the package chatterbox-tts 0.1.x: its names, signatures and refusals, without weights.

Every text is a tone as long as the words would take at 25 speech tokens a second; which tone is decided by the
recording that the voice was made of.
"""
