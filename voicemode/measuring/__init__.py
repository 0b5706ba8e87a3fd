"""Flows that measure: engines for the bench and the doctor, and the way from loudspeaker to microphone."""
