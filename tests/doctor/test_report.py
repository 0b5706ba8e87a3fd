"""A report that is pasted says nothing about who wrote it."""

from __future__ import annotations

import pytest

from voicemode.doctor.finding import Finding, Section, State
from voicemode.doctor.report import Mask, Person, markdown, person

pytestmark = pytest.mark.spec("DOC-11")

KEY = "a-key-of-an-odd-shape"
WHO = Person(
    home="/home/marie",
    user="marie",
    machine="curie-laptop.lan",
    project="/home/marie/code/radium",
    servers=("speech.curie.example", "10.1.2.3"),
    secrets=(KEY,),
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/home/marie/.config/voicemode.env", "~/.config/voicemode.env"),
        ("/home/marie/code/radium/.mcp.json is not JSON", "<project>/.mcp.json is not JSON"),
        ("/home/marieanne/x", "<home>/x"),
        ("/Users/pierre/x and C:\\Users\\pierre\\y", "<home>/x and <home>\\y"),
        ("marie@curie-laptop on Marie's headset", "<user>@<machine> on <user>'s headset"),
        ("Pierre's AirPods Pro", "<user>'s AirPods Pro"),
        ("it's a server", "it's a server"),
        ("talks to OpenAI's Realtime API", "talks to OpenAI's Realtime API"),
        ("speech: speech.curie.example: ready", "speech: <server-1>: ready"),
        (
            "http://10.1.2.3:8880/v1, 192.168.1.5, 127.0.0.1:8880",
            "http://<server-2>:8880/v1, <address>, 127.0.0.1:8880",
        ),
        ("bluez_output.AA_BB_CC_DD_EE_0F.1", "bluez_output.<address>.1"),
        ("headset AA:BB:CC:DD:EE:0F", "headset <address>"),
        ("write to marie.curie@example.org", "write to <mail>"),
        (f"the key is {KEY} or sk-12345678", "the key is [secret] or [secret]"),
        ("voicemode 0.1.0, av 18.1.0, 4.2.11", "voicemode 0.1.0, av 18.1.0, 4.2.11"),
    ],
)
def test_names_homes_hosts_addresses_and_keys_are_masked(text: str, masked: str) -> None:
    assert Mask(WHO).mask(text) == masked


def test_a_name_that_says_nothing_is_left_alone() -> None:
    who = Person(home="/root", user="root", machine="localhost", project="/root")
    assert Mask(who).mask("root at localhost in /root/x") == "root at localhost in ~/x"


def test_who_is_asking_is_known_from_the_environment() -> None:
    found = person(
        {"USERPROFILE": "C:\\Users\\marie", "USERNAME": "marie"},
        machine="m",
        project="",
        servers=["b", "a", "b"],
        secrets=(),
    )
    assert (found.home, found.user, found.servers) == ("C:\\Users\\marie", "marie", ("b", "a"))
    assert Mask(found).mask("C:\\Users\\marie\\AppData\\x") == "~\\AppData\\x"
    assert person({"HOME": "/home/jo"}, machine="", project="", servers=(), secrets=()).user == "jo"


def test_it_is_a_list_with_a_heading_for_each_section() -> None:
    findings = [
        Finding(state=State.OK, what="Python", found="3.13"),
        Finding(
            section=Section.SOUND,
            state=State.FAIL,
            what="loudspeaker",
            found="none\n<b>",
            mend="Plug one in.",
        ),
    ]
    assert markdown(findings, WHO).splitlines() == [
        "## voicemode doctor",
        "",
        "**This machine**",
        "",
        "- OK Python: 3.13",
        "",
        "**Sound**",
        "",
        "- FAIL loudspeaker: none &lt;b>",
        "  - Plug one in.",
    ]
