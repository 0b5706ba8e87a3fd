from __future__ import annotations

from scripts.constraints import LOCK, constraints

WITH = "extra == 'extra-9-voicemode-chatterbox'"
WITHOUT = "extra != 'extra-9-voicemode-chatterbox'"
DEV = "extra == 'group-9-voicemode-dev'"
REGISTRY = 'source = { registry = "here" }'
FORKED = f"""
[[package]]
name = "voicemode"
source = {{ editable = "." }}
dependencies = [{{ name = "web" }}]

[package.optional-dependencies]
chatterbox = [{{ name = "torch" }}]
neural = [{{ name = "voices" }}]

[package.dev-dependencies]
dev = [{{ name = "checker", marker = "python_full_version < '3.14'" }}]

[[package]]
name = "web"
version = "1.0"
{REGISTRY}
dependencies = [
    {{ name = "numbers", version = "1.0", marker = "{WITH} or {WITH} and ({DEV} or os_name == 'nt')" }},
    {{ name = "numbers", version = "2.0", marker = "{WITHOUT} or {WITH} and ({DEV} or os_name == 'nt')" }},
]

[[package]]
name = "numbers"
version = "1.0"
{REGISTRY}
resolution-markers = ["python_full_version < '3.13'"]

[[package]]
name = "numbers"
version = "2.0"
{REGISTRY}
resolution-markers = ["os_name == 'nt' and {WITH}", "os_name == 'nt' and {WITHOUT}", "os_name == 'posix' and {WITHOUT}"]

[[package]]
name = "torch"
version = "2.6"
{REGISTRY}

[[package]]
name = "voices"
version = "3.0"
{REGISTRY}

[[package]]
name = "checker"
version = "4.0"
{REGISTRY}
"""


def test_versions_that_one_extra_alone_wants_bind_no_checkout() -> None:
    assert list(constraints(FORKED)) == [
        "web==1.0",
        "numbers==2.0 ; (os_name == 'nt') or (os_name == 'posix')",
        "voices==3.0",
        "checker==4.0",
    ]


def test_the_lock_binds_each_package_of_the_checkout() -> None:
    lines = list(constraints(LOCK.read_text(encoding="utf-8")))
    names = [line.partition("==")[0] for line in lines]
    assert {"mcp", "ray", "sherpa-onnx", "pytest"} <= set(names)
    assert not {"voicemode", "torch", "chatterbox-tts"} & set(names)
