"""The configuration file: what it means, and what it says when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voicemode.cluster.plan import AIM, plan_of
from voicemode.cluster.running import IMPORT_PATH, application_of
from voicemode.errors import ConfigurationError


@pytest.mark.spec("CLU-2")
def test_an_engine_of_which_nothing_is_said_grows_and_shrinks() -> None:
    plan = plan_of({"engines": {"embedded": None, "chatterbox": {"num_gpus": 0.5}}})
    embedded, chatterbox = plan.engines
    assert embedded.options == {
        "max_ongoing_requests": 4,
        "autoscaling_config": {
            "min_replicas": 1,
            "max_replicas": 4,
            "target_ongoing_requests": pytest.approx(4 * AIM),
        },
    }
    assert (embedded.voices, embedded.waiting, embedded.ongoing) == (0, 4, 4)
    assert chatterbox.options["ray_actor_options"] == {"num_gpus": 0.5}
    assert (chatterbox.voices, chatterbox.waiting, chatterbox.ongoing) == (50, 1, 1)


@pytest.mark.spec("CLU-2")
def test_rays_words_reach_ray() -> None:
    plan = plan_of(
        {
            "engines": {
                "words": {
                    "import_path": "my.voices:make",
                    "voices": 7,
                    "waiting": 3,
                    "num_replicas": 2,
                    "max_ongoing_requests": 6,
                    "num_cpus": 0.5,
                    "ray_actor_options": {"num_cpus": 1, "resources": {"studio": 1}},
                    "health_check_period_s": 5,
                }
            },
            "recognisers": {"words": {"num_replicas": 1}},
            "settings": {"VOICEMODE_SPEECH_STREAMS": 512, "VOICEMODE_READ_MARKDOWN": False},
            "ingress": {"num_replicas": 2},
            "local": {"num_cpus": 2},
        }
    )
    (words,) = plan.engines
    assert words.options == {
        "num_replicas": 2,
        "max_ongoing_requests": 6,
        "ray_actor_options": {"num_cpus": 0.5, "resources": {"studio": 1}},
        "health_check_period_s": 5,
    }
    assert (words.import_path, words.voices, words.waiting) == ("my.voices:make", 7, 3)
    assert [(each.name, each.deployment) for each in plan.recognisers] == [("words", "hearing-words")]
    assert words.deployment == "words"
    assert plan.settings == {"VOICEMODE_SPEECH_STREAMS": "512", "VOICEMODE_READ_MARKDOWN": "false"}
    assert plan.ingress == {"num_replicas": 2, "max_ongoing_requests": 512}
    assert plan.local == {"num_cpus": 2}


@pytest.mark.spec("CLU-13")
def test_an_engine_may_be_without_replicas_where_the_file_says_so() -> None:
    options: dict[str, dict[str, object]] = {
        "usual": {},
        "fixed": {"num_replicas": 2},
        "warm": {"autoscaling_config": {"min_replicas": 1}},
        "resting": {"autoscaling_config": {"min_replicas": 0, "max_replicas": 2}},
    }
    engines = plan_of({"engines": options}).engines
    assert [each.name for each in engines if each.may_rest] == ["resting"]


@pytest.mark.spec("CLU-1")
@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "args.engines names no engine"),
        ({"engine": {}}, "Did you mean engines"),
        ({"engines": ["embedded"]}, r"args\.engines is \['embedded'\]"),
        ({"engines": {"a b": {}}}, "cannot be called 'a b'"),
        ({"engines": {"ingress": {}}}, "cannot be called 'ingress'"),
        ({"engines": {"a": 3}}, r"args\.engines\.a is 3"),
        ({"engines": {"a": {"num_gpu": 1}}}, r"args\.engines\.a\.num_gpu is unknown.*Did you mean num_gpus"),
        ({"engines": {"a": {"import_path": "a.b"}}}, r"a\.import_path is 'a\.b'; it must be package"),
        ({"engines": {"a": {"voices": 51}}}, "from 0 to 50"),
        ({"engines": {"a": {"waiting": -1}}}, "from 0 to"),
        ({"engines": {"a": {"max_ongoing_requests": 0}}}, "from 1 to"),
        ({"engines": {"a": {"max_ongoing_requests": True}}}, "is True"),
        ({"engines": {"a": {"num_replicas": 1, "autoscaling_config": {}}}}, "must be one of them"),
        ({"engines": {"a": {"ray_actor_options": 1, "num_cpus": 1}}}, r"ray_actor_options is 1"),
        ({"engines": {"a": {}}, "settings": {"HOME": "x"}}, "HOME is no variable"),
        ({"engines": {"a": {}}, "settings": {"VOICEMODE_DEBUG": {}}}, r"VOICEMODE_DEBUG is \{\}"),
        ({"engines": {"a": {}}, "local": {"address": "x"}}, r"args\.local\.address is unknown"),
        ({"engines": {"a": {}}, "ingress": {"voices": 1}}, r"args\.ingress\.voices is unknown"),
    ],
)
def test_a_wrong_word_is_named_with_what_is_allowed(args: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        plan_of(args)


GOOD = {"import_path": IMPORT_PATH, "args": {"engines": {"embedded": {}}}}


@pytest.mark.spec("CLU-1")
def test_a_serve_file_gives_the_application_and_its_doors() -> None:
    read = application_of(
        {
            "proxy_location": "HeadOnly",
            "http_options": {"port": 8881},
            "applications": [{"name": "other", "import_path": "a:b"}, {"name": "speech", **GOOD}],
        },
        "file",
    )
    assert (read.name, read.route_prefix, read.proxy_location) == ("speech", "/", "HeadOnly")
    assert read.http_options == {"port": 8881}
    assert [each.name for each in read.plan.engines] == ["embedded"]


@pytest.mark.spec("CLU-1")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "no list of applications"),
        ({"applications": []}, "no list of applications"),
        ({"applications": [{"import_path": "a:b"}]}, "0 applications"),
        ({"applications": [GOOD, GOOD]}, "2 applications"),
        ({"applications": [{**GOOD, "args": [1]}]}, "must be mappings"),
        ({"applications": [GOOD], "http_options": 3}, "must be mappings"),
    ],
)
def test_a_file_that_is_none_says_why(given: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        application_of(given, "file")


@pytest.mark.spec("CLU-1")
def test_the_file_in_the_documentation_is_a_good_one() -> None:
    yaml = pytest.importorskip("yaml")
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    examples = page.split("```yaml\n")[1:]
    assert examples
    for example in examples:
        application_of(yaml.safe_load(example.partition("```")[0]), "docs/cluster.md")
