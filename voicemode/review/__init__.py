"""A page that shows what happened in each turn: its sound, its moments, and why it was slow or went wrong."""
