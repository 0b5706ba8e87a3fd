"""What becomes of sound between its arrival and the ear: the buffer, its machine, and what was heard. Pure."""
