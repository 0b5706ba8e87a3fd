"""Exit codes: 0 done; 1 failed, and standard error says why and what to do; 2 wrong arguments; 3 there is no
loudspeaker and the sound is in a file; 4 nobody spoke; 130 interrupted."""

DONE, FAILED, USAGE, NOT_PLAYED, NO_SPEECH, INTERRUPTED = 0, 1, 2, 3, 4, 130
