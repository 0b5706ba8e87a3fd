"""`python -m voicemode`."""

import sys

from voicemode.cli import main

sys.exit(main())
