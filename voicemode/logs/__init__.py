"""The event log: written, and read back."""
