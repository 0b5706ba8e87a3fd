"""What every HTTP server of ours on this machine shares: the door itself, and who may come in by it."""
