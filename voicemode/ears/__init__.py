"""What hears: voice activity detectors."""
