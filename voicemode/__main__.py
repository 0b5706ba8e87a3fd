"""The console script, and `python -m voicemode`: Ctrl-C is heeded while the rest is still being loaded, too."""

import sys


def main() -> int:
    try:
        from voicemode import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130  # As `cli.exits.INTERRUPTED`, which may not be there yet.


if __name__ == "__main__":
    sys.exit(main())
