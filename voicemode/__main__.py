"""The console script, and `python -m voicemode`: Ctrl-C is heeded while the rest is still being loaded, too."""

import os
import signal
import sys
import threading
from contextlib import suppress

INTERRUPTED = 130
"""As `cli.exits.INTERRUPTED`, which may not be there yet."""


def main() -> int:
    code = outcome()
    # A Ctrl-C now would change nothing but the exit status.
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if any(thread.name.startswith("voicemode ") for thread in threading.enumerate()):
        _leave(code)
    return code


def outcome() -> int:
    """The exit status of what was asked for, done."""
    try:
        from voicemode import cli

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except RuntimeError as error:
        # Python 3.11 words an interruption so where it comes while a class is made.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return INTERRUPTED
        raise


def _leave(code: int) -> None:
    """At once. A thread of ours that still waits for a device or for input, and that nobody can end, would have its
    library taken down around it: audio libraries abort the process then, and its exit status is theirs."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
