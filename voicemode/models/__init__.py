"""Models that a user may have on their own machine: what there is, where it lies, how it comes and goes."""
