"""Who speaks when: the machines of a turn and of an interruption, and what few words mean. Pure."""
