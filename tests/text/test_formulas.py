"""Formulas as TeX writes them, alone and in a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.text.formulas import LONGEST_FORMULA_CHARACTERS, say_formula
from voicemode.text.pieces import split
from voicemode.text.reading import Reading

pytestmark = pytest.mark.spec("SPK-66")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (r"O(n \log n)", "O of (n log n)"),
        (r"-\frac{1}{N}\sum_{i=1}^{N} y_i", "minus 1 over N sum from i equals 1 to N of y i"),
        (r"x_i \in \mathbb{R}^d", "x i in R to the power of d"),
        (r"E = mc^2", "E equals m c squared"),
        (r"\sqrt{a^3+b}", "square root of a cubed plus b"),
        (r"\int_0^\infty e^{-x}", "integral from 0 to infinity of e to the power of minus x"),
        (r"A^{-1} A^T", "A inverse A transposed"),
        (r"\lim_{x \to 0} \frac{\sin x}{x}", "limit as x to 0 of sin x over x"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a equals b, c equals d"),
        (r"\text{softmax}(x)", "softmax (x)"),
        (r"\theta \leq 5\%", "theta at most 5 percent"),
        (r"\hat{y} \neq 90^\circ", "y hat is not 90 degrees"),
        (r"\binom{n}{k}", "n choose k"),
        (r"\sqrt[3]{x}", "3 root of x"),
    ],
)
def test_a_formula_is_said_as_it_is_read_aloud(written: str, said: str) -> None:
    assert say_formula(written) == said


@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ("It takes $O(n)$ and \\(n - 1\\) steps.", ["It takes O of (n) and n minus 1 steps."]),
        (
            "The loss is\n\n$$\nL = x^2. \\\\\nM = 1\n$$\n\nGood.",
            ["The loss is.", "L equals x squared. M equals 1.", "Good."],
        ),
        ("\\[\nE = m\n\\]\nGood, as it is.", ["E equals m. Good, as it is."]),
        (
            "It costs $5 to $10, or $a few$ for \\[some\\] file\\(s\\).",
            ["It costs $5 to $10, or a few$ for [some] files."],
        ),
        ("$$ is a number of a process.\n\nGood.", ["$$ is a number of a process.", "Good."]),
        ("$$\nx = 1\n- a list that it is\n", ["$$ x equals 1. a list that it is."]),
    ],
)
def test_formulas_are_found_in_a_text_and_prices_are_none(written: str, pieces: list[str]) -> None:
    assert split(written) == pieces


def test_in_other_languages_a_formula_stays_without_its_dollars() -> None:
    assert split("Es gilt $x = 1$ hier.", reading=Reading(language="de")) == ["Es gilt x = 1 hier."]


@given(st.text(alphabet="{}[]^_\\$& ab1\n", max_size=2 * LONGEST_FORMULA_CHARACTERS))
def test_whatever_stands_between_the_dollars_is_read_to_something(written: str) -> None:
    said = say_formula(written)
    assert len(written) > LONGEST_FORMULA_CHARACTERS or "\\" not in said
    assert split(f"$${written}$$") == split(f"$${written}$$")
