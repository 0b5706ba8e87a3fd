"""A stand-in for the package chatterbox-tts 0.1.7: its names, signatures, shapes and refusals, without weights.

Every text is a tone as long as the words would take at 25 speech tokens a second; which tone is decided by the
recording that the voice was made of. Its signatures are held against those of the package, which
`scripts/chatterbox_signatures.py` has written down.
"""
