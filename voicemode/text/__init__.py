"""Written text: read as a person would, cut into pieces to be said. Pure."""
