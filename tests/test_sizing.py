from __future__ import annotations

import math

import pytest

from scripts.sizing import Load, Seen, Service, enough, seen, simulate, table


def erlang_c_wait(per_second: float, takes: float, servers: int) -> float:
    """Mean wait of M/M/c (Erlang's second formula)."""
    offered = per_second * takes
    here = offered**servers / math.factorial(servers) / (1 - offered / servers)
    others = sum(offered**number / math.factorial(number) for number in range(servers))
    return here / (here + others) * takes / (servers - offered)


@pytest.mark.spec("SPT-80")
@pytest.mark.parametrize(("per_second", "servers"), [(0.5, 1), (1.5, 2), (3.2, 4), (14.0, 16)])
def test_where_there_is_a_formula_the_simulation_agrees_with_it(per_second: float, servers: int) -> None:
    load, service = Load(per_second=per_second, sound=1.0), Service(first=0.0, factor=1.0)
    waits = [simulate(load, service, servers, requests=60_000, seed=seed).mean_wait for seed in range(4)]
    assert sum(waits) / len(waits) == pytest.approx(erlang_c_wait(per_second, 1.0, servers), rel=0.12)


@pytest.mark.spec("SPT-80")
def test_enough_is_the_least_number_that_keeps_the_target() -> None:
    load, service = Load(per_second=2.0, sound=4.0), Service(first=0.35, factor=0.5)
    got = enough(load, service, 1.0)
    assert got.first_p95 <= 1.0
    assert simulate(load, service, got.replicas - 1).first_p95 > 1.0
    assert 2.0 * service.seconds(4.0) < got.replicas < 3 * 2.0 * service.seconds(4.0)


@pytest.mark.spec("SPT-80")
def test_more_than_can_be_done_is_said_to_be_that() -> None:
    load, service = Load(per_second=1.0, sound=4.0), Service(first=0.0, factor=0.5)
    assert not simulate(load, service, 2).stable
    assert simulate(load, service, 3).stable
    assert simulate(load, Service(first=0.0, factor=0.5, slots=2), 2).stable


@pytest.mark.spec("SPT-80")
def test_an_engine_that_is_too_slow_alone_is_not_helped_by_others() -> None:
    with pytest.raises(ValueError, match=r"0\.5 s"):
        enough(Load(per_second=0.1, sound=4.0), Service(first=0.5, factor=0.1), 0.4)


@pytest.mark.spec("SPT-80")
def test_nobody_waits_where_nearly_nobody_comes() -> None:
    got = enough(Load(per_second=1e-4, sound=4.0), Service(first=0.3, factor=0.5), 0.35)
    assert got.replicas == 1
    assert got.first_p50 == pytest.approx(0.3)
    assert table(Service(first=0.3, factor=0.5), [0.01], 4.0, 0.5).count("\n") == 2


LINE = (
    '{{"event": "speech_served", "route": "/v1/audio/speech", '
    '"outcome": "{outcome}", "first": {first}, "total": {total}}}'
)


@pytest.mark.spec("SPT-81")
def test_what_requests_took_is_read_from_the_servers_own_lines() -> None:
    lines = [
        "Serving at http://127.0.0.1:8880",
        LINE.format(outcome="finished", first=0.2, total=1.5),
        LINE.format(outcome="left", first=0.2, total=0.3),
        LINE.format(outcome="finished", first="null", total=0.1),
        "voicemode.speech_server.composing: " + LINE.format(outcome="finished", first=0.4, total=0.4),
        "(replica) " + LINE.format(outcome="finished", first=0.6, total=0.7),
    ]
    assert seen(lines).times == ((0.2, 1.5), (0.4, 0.4), (0.6, 0.7))
    with pytest.raises(ValueError, match="no line"):
        seen(lines[:1])


@pytest.mark.spec("SPT-81")
def test_measured_requests_that_are_all_alike_give_what_the_formula_gives() -> None:
    """M/D/1 (Pollaczek and Khinchine): the mean wait is half of what it is where lengths are exponential."""
    load, takes = Load(per_second=0.7, sound=1.0), 1.0
    waits = [
        simulate(load, Seen(times=((0.3, takes),)), 1, requests=60_000, seed=seed).mean_wait
        for seed in range(4)
    ]
    busy = load.per_second * takes
    assert sum(waits) / len(waits) == pytest.approx(busy * takes / (2 * (1 - busy)), rel=0.12)


@pytest.mark.spec("SPT-81")
def test_enough_for_measured_requests_counts_the_slow_first_chunks_too() -> None:
    load = Load(per_second=0.5, sound=1.0)
    times = ((0.1, 1.0),) * 90 + ((0.9, 3.0),) * 10
    got = enough(load, Seen(times=times), 1.2)
    assert 0.9 <= got.first_p95 <= 1.2
    assert got.first_p50 < 0.3
    with pytest.raises(ValueError, match=r"0\.9 s"):
        enough(load, Seen(times=times), 0.5)
