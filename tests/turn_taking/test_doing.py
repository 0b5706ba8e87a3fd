"""What a call is doing: the moves of its table, and no others, whenever one looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.turn_taking.doing import TRANSITIONS, Doing, Sign, moved

LASTING = [sign for sign in Sign if sign not in (Sign.PAUSE, Sign.RESUME)]
"""What stays so once it is."""


@pytest.mark.spec("CNV-17")
@pytest.mark.parametrize("doing", Doing)
@pytest.mark.parametrize("sign", Sign, ids=lambda sign: sign.value)
def test_every_sign_moves_every_call_as_the_table_says(doing: Doing, sign: Sign) -> None:
    assert moved(doing, {sign}) is TRANSITIONS.get((doing, sign), doing)


@pytest.mark.spec("CNV-17")
def test_every_doing_is_reached_and_only_the_end_has_no_way_out() -> None:
    assert {Doing.WAITING, *TRANSITIONS.values()} == set(Doing)
    assert set(Doing) - {before for before, _ in TRANSITIONS} == {Doing.OVER}
    assert all((doing, Sign.END) in TRANSITIONS for doing in Doing if doing is not Doing.OVER)


@pytest.mark.spec("CNV-17")
@given(
    happenings=st.lists(st.tuples(st.sampled_from(LASTING), st.booleans(), st.booleans())),
)
def test_whoever_looks_once_finds_what_they_find_who_look_always(
    happenings: list[tuple[Sign, bool, bool]],
) -> None:
    """Each happening: what is so from now on, whether the message is held back now, and whether somebody looks."""
    always = seldom = Doing.WAITING
    signs: set[Sign] = set()
    for sign, held_back, looks in happenings:
        signs.add(sign)
        now = signs | {Sign.PAUSE if held_back else Sign.RESUME}
        always = moved(always, now)
        if looks:
            seldom = moved(seldom, now)
            assert seldom is always
        assert moved(Doing.WAITING, now) is always
