"""Voice detectors, echo cancelling."""
