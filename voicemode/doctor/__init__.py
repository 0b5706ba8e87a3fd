"""What a user needs, checked in order: each line with a state, what was found and how to mend it.

All checks that do not need one another run at once; what they found is told in their order, as soon as what stands
before it is known. Each has a limit: nothing that hangs holds up the rest for long.
"""

from __future__ import annotations

from voicemode.doctor.finding import Finding, Section, State
from voicemode.doctor.measuring import Measure
from voicemode.doctor.visit import Allowed, examine

__all__ = ["Allowed", "Finding", "Measure", "Section", "State", "examine"]
