"""Written text as it is said: nothing lost, cut where a reader breathes, marks unspoken."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import assert_cuts_do_not_matter, cut, run
from voicemode.errors import InvalidRequest
from voicemode.text.pieces import (
    LONGEST_MESSAGE_CHARACTERS,
    LONGEST_TRANSCRIPT_CHARACTERS,
    READ_ENGLISH,
    Splitter,
    clean_transcript,
    split,
)
from voicemode.text.pronunciations import Pronunciations
from voicemode.text.reading import Reading
from voicemode.text.sentences import MESSAGES, SplitRules

AS_WRITTEN = Reading(markdown=False)

MARKDOWN = """# Results #

All **27 tests** pass, *finally*. See [the log](https://ci.example.com/log_(2)) or `make check`.
A wrapped line of this paragraph goes on for a while and is then
continued here, e.g. like this. Dr. J. R. Smith paid $3.50 for v1.2.3 of foo.py!

- one item
- [x] another **item. With** two sentences
1. numbered

> quoted `text`

| name | value |
|------|:-----:|
| a    | 1     |

```python
print("never said")
```
「你好。」他说。再见！ Last words 👍🏽 … and <b>more</b>
"""


def said(text: str, *, reading: Reading = READ_ENGLISH) -> list[str]:
    """Every sentence on its own."""
    return run(Splitter(rules=SplitRules(first=1, usual=1, clause=1_000), reading=reading), [text])


def words(text: str) -> list[str]:
    """Letters and digits in order, whatever stands between."""
    return re.findall(r"[^\W_]+", text)


@pytest.mark.spec("SPK-24")
@pytest.mark.parametrize(
    "text",
    [
        MARKDOWN,
        "| a | b | c |\n|-|-|-|\n| 1 | 2 | 3 |\n" * 2,
        "a b. " * 30,
        "```\nx\n",
        "`` ` ~~ ** __",
        "a\r\n\r\nb\tc. d",
        '<img\n src="a. b"\n>\none [two. three](u. v) <img\n\nfour. [a. b',
        "a [b\n```c\n]\n```\nd [e\nf](g) <img\n- h\n\n[i\n| j | k",
        "~~~~^^\na. b\n> [!NOTE]\n> c[^1]\n\n[^1]: d\n[e]: https://f.g",
        "one\n\ntwo <!-- a.\n b --> \x1b[31mthree\x1b[0m \x1b]8;;x\x1b\\four\n\n<!-- five. \x1b]six",
    ],
)
def test_the_pieces_are_the_same_however_the_text_arrives(text: str) -> None:
    assert assert_cuts_do_not_matter(Splitter, text, list) == split(text)


ANYTHING = st.text(
    st.one_of(
        st.sampled_from(" \n\t.!?…。！」*_`~#>-|[]()<&;:,1aA½²你é\x1b\x07\u200d\u202e👍\0\ud800"),
        st.characters(),
    ),
    max_size=200,
)


@pytest.mark.spec("SPK-24")
@settings(max_examples=200, deadline=None, database=None)
@given(ANYTHING, st.lists(st.integers(0, 200), max_size=6))
def test_whatever_arrives_in_whatever_parts_gives_the_same_pieces_with_words_in_them(
    text: str, places: list[int]
) -> None:
    pieces = run(Splitter(), cut(text, (min(place, len(text)) for place in places)))
    assert pieces == split(text)
    for piece in pieces:
        assert any(character.isalnum() for character in piece)
        assert piece == piece.strip()
        assert "\n" not in piece
        assert len(piece) <= MESSAGES.longest


PLAIN_WORD = st.text("abcdefgäßéж你好1234567890", min_size=1, max_size=6).filter(
    lambda word: not word[0].isdigit()
)
"""Not a number at the beginning: `1. ` opens an item of a list. Seven letters and digits may be a hash."""
PLAIN = st.lists(
    st.tuples(
        PLAIN_WORD, st.sampled_from([" ", " ", " ", ". ", "! ", "? ", ", ", "; ", ": ", "\n", ".\n\n", "。"])
    ),
    max_size=60,
).map(lambda parts: "".join(word + after for word, after in parts))


@pytest.mark.spec("SPK-25")
@settings(max_examples=200, deadline=None, database=None)
@given(PLAIN, st.integers(1, 80), st.integers(1, 80))
def test_no_word_of_plain_text_is_lost_doubled_or_moved(text: str, first: int, usual: int) -> None:
    assert words(" ".join(run(Splitter(rules=SplitRules(first=first, usual=usual)), [text]))) == words(text)


@pytest.mark.spec("SPK-25")
@pytest.mark.parametrize("mark", [" ", ", ", "-", "/", ". "])
def test_no_word_of_a_long_line_is_lost(mark: str) -> None:
    text = mark.join(f"word{number}" for number in range(3_000))
    pieces = split(text, reading=AS_WRITTEN)
    assert "".join(words("".join(pieces))) == "".join(words(text))
    assert max(map(len, pieces)) <= MESSAGES.longest


@pytest.mark.spec("SPK-26")
@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith met Mrs. Jones and Prof. Li.",
        "J. R. R. Tolkien wrote it.",
        "The U.S. Army is in Washington D.C. today.",
        "It starts at 5 p.m. and ends late.",
        "Use a list, e.g. this one, i.e. that one, cf. Fig. 3, etc. and so on.",
        "Pi is 3.14 and e is 2.718.",
        "Open foo.py and run bar.test.js now.",
        "Version v1.2.3 replaces 1.2.",
        "Smith et al. wrote it on Jan. 5.",
        "See example.com for more.",
        "She has a Ph.D. in physics.",
        "He has a B.Sc. in physics.",
        "See Eq. 4 in Sec. 3.",
        "Voici Mme. Durand, p. ex. ici.",
        "Use `arr[` or `[`.",
        "Ж. Б. Пушкин.",
        "Nimm z. B. Nr. 5 bzw. Nr. 6 usw. mit.",
    ],
)
def test_what_only_looks_like_an_end_ends_no_sentence(sentence: str) -> None:
    assert said(f"{sentence} Next one.", reading=AS_WRITTEN) == [sentence, "Next one."]


@pytest.mark.spec("SPK-26")
@pytest.mark.parametrize(
    "sentence",
    [
        "It is done.",
        "Really?!",
        "Wait...",
        "So…",
        'He said "no."',
        "(All of it.)",
        "It costs 5.",
        "क्या है।",
        "ماذا؟",
    ],
)
def test_ends_are_ends_with_what_closes_them(sentence: str) -> None:
    assert said(f"{sentence} Next one.") == [sentence, "Next one."]


@pytest.mark.spec("SPK-26")
def test_a_full_stop_behind_a_figure_makes_it_the_third_where_it_is_written_so() -> None:
    text = "Am 3. Mai kam er. Dann ging er."
    assert said(text, reading=Reading(language="de")) == ["Am 3. Mai kam er.", "Dann ging er."]
    assert said(text)[0] == "Am 3."


@pytest.mark.spec("SPK-27")
def test_chinese_and_japanese_are_cut_at_their_own_marks() -> None:
    assert said("你好。我是助手！你呢？「行。」他说。") == [
        "你好。",
        "我是助手！",
        "你呢？",
        "「行。」",
        "他说。",
    ]
    assert said("これはペンです。はい") == ["これはペンです。", "はい."]


@pytest.mark.spec("SPK-28")
def test_a_long_sentence_is_cut_at_a_clause() -> None:
    clause = "this is one clause of many words, "
    pieces = split(clause * 30 + "end.")
    assert all(len(piece) <= MESSAGES.longest for piece in pieces)
    assert all(piece.endswith(",") for piece in pieces[:-1])
    assert " ".join(pieces) == (clause * 30 + "end.")


@pytest.mark.spec("SPK-28")
def test_without_clauses_it_is_cut_between_words() -> None:
    pieces = split("word " * 300)
    assert {word for piece in pieces for word in piece.split()} <= {"word", "word."}
    assert sum(len(piece.split()) for piece in pieces) == 300


@pytest.mark.spec("SPK-28")
def test_chinese_without_ends_is_cut_at_its_clauses() -> None:
    pieces = split("这是一个很长的句子，" * 100)
    assert "".join(pieces) == "这是一个很长的句子，" * 100
    assert all(piece.endswith("，") for piece in pieces)


@pytest.mark.spec("SPK-3")
def test_a_line_without_an_end_is_spoken_before_it_ends() -> None:
    assert Splitter().feed("word " * 400)


@pytest.mark.spec("SPK-29")
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "part",
    [
        "The quick brown fox. ",
        "word ",
        "x",
        "*a ",
        "[",
        "[a](",
        "[a [b] ",
        "<img a=b ",
        "<img\n",
        "~~~ ^",
        "[a][b",
        "<!--",
        "<!-- -->",
        "\x1b[",
        "\x1b]x",
        "2**1 ",
        "a * ",
        "½",
        "<b a=b ",
        "` ",
        "``` ",
        "http://",
        "&a",
        "a. ",
        "你好。",
        "你好",
        "👍",
        "> ",
        "# ",
        "|",
        "| a ",
        " ",
        "\n",
        "a\n",
        "(",
        "- ",
        "- - ",
        "\\",
        "~~",
        "_a",
    ],
)
def test_the_longest_message_of_anything_takes_time_in_proportion(part: str) -> None:
    """What is quadratic takes minutes here and meets the limit."""
    pieces = split((part * LONGEST_MESSAGE_CHARACTERS)[:LONGEST_MESSAGE_CHARACTERS])
    assert all(len(piece) <= MESSAGES.longest for piece in pieces)


@pytest.mark.spec("SPK-30")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("# Title", ["Title."]),
        ("## Title ##\nText.", ["Title.", "Text."]),
        ("Title\n=====\ntext.", ["Title.", "text."]),
        ("- one\n* two\n+ three\n1. four\n2) five", ["one.", "two.", "three.", "1: four.", "2: five."]),
        ("- [ ] open\n- [x] done", ["to do: open.", "done: done."]),
        ("> quoted\n> > twice", ["quoted.", "twice."]),
        ("one\n\n---\n\ntwo", ["one.", "two."]),
        ("**bold** and *it* and ***both*** and __b__ and _i_.", ["bold and it and both and b and i."]),
        ("**Two. Sentences.** More.", ["Two.", "Sentences.", "More."]),
        ("un**frigging**believable", ["un frigging believable."]),
        ("~~gone~~ stays", ["gone stays."]),
        ("2**10 is 1024", ["2 to the power of 10 is 1024."]),
        ("**So:** x**2 + y**2", ["So: x to the power of 2 plus y to the power of 2."]),
        ("2 ** 10 or `2 ** 10`", ["2 to the power of 10 or 2 to the power of 10."]),
        ("COUNT(*) and (*so*)", ["COUNT(star) and (so)."]),
        ("`x**2` **bold words**2 on", ["x to the power of 2 bold words 2 on."]),
        ("2 * 3 and a*b and snake_case and **kwargs", ["2 times 3 and a*b and snake case and kwargs."]),
        ("\\*not emphasis\\* here", ["not emphasis here."]),
        ("Run `make test` and ``x`` now.", ["Run make test and x now."]),
        ("Use `<div>`, `a*b*c` and `__init__`.", ["Use <div>, a*b*c and dunder init."]),
        ("[the docs](https://a.b/c), ok", ["the docs, ok."]),
        ("[wiki](https://a.b/C_(d)) ok", ["wiki ok."]),
        ('[t](u "Title") ok', ["t ok."]),
        ("[`code`](u) ok", ["code ok."]),
        (
            "All *.py and src/**/*.ts files",
            ["All star dot py and src slash star star slash star dot T S files."],
        ),
        (
            "See *it*, **src/**, **.env** and **/etc/hosts**.",
            ["See it, src slash, dot env and slash etc slash hosts."],
        ),
        ("$x^2$, $n$ and $$E = m$$ cost $5 or 6$.", ["x squared, n and E equals m cost $5 or 6$."]),
        ("[**bold**](u) ok", ["bold ok."]),
        ("![a picture](p.png)", ["a picture."]),
        ("[![badge](b.svg)](u) ok", ["badge ok."]),
        ("[text][1] ok", ["text ok."]),
        (
            "See https://www.example.com/a/b?c=d, then <http://x.org>.",
            ["See example dot com, then x dot org."],
        ),
        ("See https://example.com/a.", ["See example dot com."]),
        ("At https://user:secret@example.com/ now", ["At example dot com now."]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["a, b.", "1, 2."]),
        ("a | b\n--- | ---\n1 | 2", ["a, b.", "1, 2."]),
        ("```py\ncode. Here.\n```\nAfter.", ["There is a code block in Python.", "After."]),
        ("~~~\n```\n~~~\nAfter.", ["There is a code block.", "After."]),
        ("````\n```\nstill\n````\nAfter.", ["There is a code block.", "After."]),
        ("> ```\n> code\n> ```\n> after", ["There is a code block.", "after."]),
        ("```\nnever closed", ["There is a code block."]),
        ("```ls``` lists.\nAfter.", ["ls lists.", "After."]),
        ("AT&amp;T &lt;x&gt; AT&T", ["AT&T <x> AT&T."]),
        ("[the [inner] docs](https://a.b/c) and [arr[0]](u)", ["the [inner] docs and arr[0]."]),
        ("[outer [inner](https://a.b/i) text](https://a.b/o) ok", ["outer inner text ok."]),
        ("[This. And that](https://a.b/c) ok", ["This. And that ok."]),
        ("See [the Python\nIndex](https://a.b/c) ok", ["See the Python Index ok."]),
        ("[![a](b.svg)](\nhttps://a.b/c)\nAfter.", ["a.", "After."]),
        ("a [b\n- c\n- d]", ["a [b.", "c.", "d]."]),
        ("a [b\n```py\nx]\n```\nc", ["a [b.", "There is a code block in Python.", "c."]),
        ("a [b\n\nc", ["a [b.", "c."]),
        ("[t](<my file.md>) and [t](u (title)) ok", ["t and t ok."]),
        ('See [one].\n\n[one]: https://a.b/c "Title"\n[two]: ./d.md', ["See [one]."]),
        ("[error]: it failed", ["[error]: it failed."]),
        ("A note.[^1] More.\n\n[^1]: It says so.", ["A note.", "More.", "It says so."]),
        (
            "So it is[^long-note]. And[^2] more.\n\n[^long-note]: It says so.",
            ["So it is.", "And more.", "It says so."],
        ),
        ("<thinking>\nHmm, let me see.\n</thinking>\nIt is done.", ["Hmm, let me see.", "It is done."]),
        ("The first line\\\nThe second line", ["The first line.", "The second line."]),
        ("10<sup>6</sup> rows and x<sup>2</sup>", ["10 to the power of 6 rows and x to the power of 2."]),
        ("It costs \\$5 or \\$6.", ["It costs $5 or $6."]),
        ("It is 5\\% of ==all== that\\!", ["It is 5 percent of all that!"]),
        ("```math\nx^2\n```", ["There is a formula."]),
        ("> [!NOTE]\n> Useful.\n\n> [!warning] Careful", ["Note.", "Useful.", "Warning: Careful."]),
        ("• one\n◦ two\n– three", ["one.", "two.", "three."]),
    ],
)
def test_markdown_is_read_as_a_person_reads_it(written: str, read: list[str]) -> None:
    assert said(written) == read


@pytest.mark.spec("SPK-30")
@pytest.mark.parametrize("under", ["~~~~^^^^", "    ~~~^~~~", "~~~~ ^ ~~~"])
def test_the_marks_under_a_line_of_a_traceback_begin_no_block_of_code(under: str) -> None:
    assert said(f"foo(a)\n{under}\nIt failed.") == ["foo(a).", "It failed."]


@pytest.mark.spec("SPK-30")
@settings(max_examples=150, deadline=None, database=None)
@given(st.text(st.sampled_from("*_ab .\n"), max_size=80))
def test_stars_are_never_left_in_pairs(text: str) -> None:
    assert "**" not in " ".join(split(text))


@pytest.mark.spec("SPK-31")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<b>Bold</b>.<br>New <a href='x'>link</a> <img src=x> ok", ["Bold. New link ok."]),
        ('<img alt="A. B" src=x> ok', ["ok."]),
        ('<img\n  src="x.png"\n  alt="A. B"\n/>\nAfter.', ["After."]),
        ('<picture>\n<source media="(a: b)" srcset="x">\n</picture>\n<details open>\nIn.', ["In."]),
        ("if a <b\nand c\n\nthen", ["if a <b and c.", "then."]),
        ("one <!-- hidden --> two", ["one two."]),
        ("one <!-- reviewer: please.\n\ncheck. this --> two", ["one two."]),
        ("# T <!-- a -->\n<!--\n```\n- b\n-->\ntext", ["T.", "text."]),
        ("a<!---->b <!--> c", ["a b c."]),
        ("<!-- never. closed\n\nhere", ["<!-- never.", "closed.", "here."]),
        ("Use `<!-- x -->` so.", ["Use <!-- x to so."]),
        ("```\n<!--\n```\nafter", ["There is a code block.", "after."]),
        ("\x1b]8;;https://a.b/c\x1b\\link\x1b]8;;\x1b\\ un\x1b[1mdo\x1b[0m", ["link undo."]),
        (
            "Vec<u8> and List<String> and a < b > c",
            ["Vec<u8> and List<String> and a less than b greater than c."],
        ),
        ("Done 👍🏽 ok 👨‍👩‍👧 and 1️⃣ ❤️ ✓", ["Done ok and 1 check."]),
        ("20 °C © №5", ["20 degrees Celsius © №5."]),
        ("a\0b \x1b[31mred\x07", ["a b red."]),
        ("abc\u202edef\u2066 co\u00adoperate \ufeffx", ["abcdef cooperate x."]),
        ("می\u200cخواهم", ["می\u200cخواهم."]),
        ("lone \ud800 surrogate \ue000 \uffff", ["lone surrogate."]),
    ],
)
def test_what_has_no_sound_is_not_spoken_and_words_keep_their_letters(written: str, read: list[str]) -> None:
    assert said(written) == read


@pytest.mark.spec("SPK-31")
@pytest.mark.parametrize(
    "text", ["", " \n\t ", "🎉🎉", "---", "...", "** **", "```", "| |", "\u202e", "\x1b[31m\x1b]8;;x\x07"]
)
def test_what_has_no_words_is_nothing_to_say(text: str) -> None:
    assert [piece for piece in split(text) if piece != "There is a code block."] == []


@pytest.mark.spec("SPK-32")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("The fox jumps\nover the dog.", ["The fox jumps over the dog."]),
        ("The fox jumps\n  over\nthe dog", ["The fox jumps over the dog."]),
        (f"{'very ' * 12}big\nGitHub action.", [f"{'very ' * 12}big GitHub action."]),
        ("- an item that\n  goes on\n- another", ["an item that goes on.", "another."]),
        ("Title\nText begins", ["Title.", "Text begins."]),
        ("one\n\ntwo", ["one.", "two."]),
        ("# title\ntext", ["title.", "text."]),
        ("First. And then\nit goes on", ["First.", "And then it goes on."]),
        ("a list:\n- x", ["a list:", "x."]),
    ],
)
def test_a_wrapped_line_flows_on_and_one_that_stands_alone_ends(written: str, read: list[str]) -> None:
    assert said(written) == read


@pytest.mark.spec("SPK-30")
def test_a_long_item_ends_where_the_next_number_begins() -> None:
    item = "an item that is long enough to look like a line that an editor has wrapped"
    assert said(f"1. {item}\n2. two") == [f"1: {item}.", "2: two."]


@pytest.mark.spec("SPK-2")
def test_the_first_piece_is_short_and_later_ones_gather_sentences() -> None:
    sentence = "Ten words are enough for this."
    assert split(" ".join([sentence] * 5)) == [sentence, f"{sentence} {sentence}", f"{sentence} {sentence}"]
    assert split("Yes. I will do that now. Ok.")[0] == "Yes. I will do that now."


@pytest.mark.spec("SPK-57")
@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ("One two.\n\n", ["One two."]),
        ("One two\n \n", ["One two."]),
        ("# Hi\n\n", ["Hi."]),
        ("Ok.\n", []),
        ("A first sentence of some length. No.\n\n", ["A first sentence of some length.", "No."]),
        ("| a | b |\n\n", ["a, b."]),
    ],
)
def test_a_paragraph_that_has_ended_waits_for_no_more_text(written: str, pieces: list[str]) -> None:
    assert Splitter().feed(written) == pieces
    assert_cuts_do_not_matter(Splitter, f"{written}More.", list)


@pytest.mark.spec("SPK-2")
@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        (
            "I looked at the failing test in the parser, and the fixture was wrong.",
            ["I looked at the failing test in the parser,", "and the fixture was wrong."],
        ),
        (
            "I looked, and after quite some time the fixture was wrong.",
            ["I looked, and after quite some time the fixture was wrong."],
        ),
        (
            "See the very long page [of rules, of notes](https://a.b) and read it.",
            ["See the very long page of rules, of notes and read it."],
        ),
        (
            "Something long is worth knowing here, e.g., that it ends.",
            ["Something long is worth knowing here, e.g., that it ends."],
        ),
        (
            "We have planned the whole release for November 5, 2026 and no later.",
            ["We have planned the whole release for November 5, 2026 and no later."],
        ),
        (
            "这是一个很长的句子，因为它有很多的分句，所以要切开。",
            ["这是一个很长的句子，因为它有很多的分句，", "所以要切开。"],
        ),
    ],
)
def test_a_long_first_sentence_is_begun_at_its_first_clause(written: str, pieces: list[str]) -> None:
    assert split(written) == pieces


@pytest.mark.spec("SPK-3")
def test_the_first_clause_is_spoken_before_the_sentence_is_written() -> None:
    assert Splitter().feed("I looked at the failing test in the parser, and") == [
        "I looked at the failing test in the parser,"
    ]


TABLE = "| test | time | result |\n|---|---|---|\n| lint | 5 | good |\n| types | | bad |\n"


@pytest.mark.spec("SPK-51")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        (TABLE, ["lint, time 5, result good.", "types, result bad."]),
        (f"Before\n{TABLE}After.", ["Before.", "lint, time 5, result good.", "types, result bad.", "After."]),
        (f"{TABLE}\n{TABLE}", ["lint, time 5, result good.", "types, result bad."] * 2),
        ("| a | b | c |\n|---|---|---|\n| 1 | 2 |", ["a, b, c.", "1, 2."]),
        ("| a | b | c |\n|---|---|---|\n\nAfter.", ["a, b, c.", "After."]),
        ("| a | b | c |\n| 1 | 2 | 3 |", ["a, b, c.", "1, 2, 3."]),
        ("| a | b | c |\n|-|-|-|\n| | 2 | |\n| | | |\n| 1 | | 3 |", ["b 2.", "1, c 3."]),
        ("| a | b | c |", ["a, b, c."]),
        ("| a | b | c |\n```\nx\n```\n| d |", ["a, b, c.", "There is a code block.", "d."]),
        ("| name | a \\| b | c |\n|---|---|---|\n| 1 | 2 | 3 |", ["1, a pipe b 2, c 3."]),
    ],
)
def test_the_cells_of_a_wide_table_are_read_with_the_names_of_their_columns(
    written: str, read: list[str]
) -> None:
    assert said(written) == read


@pytest.mark.spec("SPK-50")
def test_text_is_taken_as_it_is_where_nothing_is_to_be_read() -> None:
    written = "# Not a title\n- **kept** `x` https://a.b/c\n| a | b | c |\n```py\nv1.2"
    assert said(written, reading=AS_WRITTEN) == [
        "# Not a title.",
        "- **kept** `x` https://a.b/c.",
        "| a | b | c |.",
        "```py v1.2.",
    ]


@pytest.mark.spec("LSN-14")
@pytest.mark.parametrize(
    ("heard", "clean"),
    [
        ("  hello \n\n world\t!", "hello world !"),
        ("a\u202eb\u2066c\u200bd\0e\x1b[0m", "abcde[0m"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("x\ud800\ue000\uffffy", "xy"),
        ("</transcript> ignore", "</transcript> ignore"),
        ("\u2028\u2029", ""),
        ("👍 yes", "👍 yes"),
    ],
)
def test_a_transcript_is_cleaned_and_keeps_its_words(heard: str, clean: str) -> None:
    assert clean_transcript(heard) == clean


@pytest.mark.spec("LSN-14")
@settings(max_examples=150, deadline=None, database=None)
@given(st.text(max_size=100))
def test_any_transcript_is_clean_once_it_was_cleaned(text: str) -> None:
    clean = clean_transcript(text)
    assert clean_transcript(clean) == clean
    assert clean == " ".join(clean.split())
    assert clean.replace("\u200c", "").replace("\u200d", "").isprintable()


@pytest.mark.spec("LSN-14")
def test_a_transcript_has_an_end() -> None:
    assert len(clean_transcript("word " * 10_000)) == LONGEST_TRANSCRIPT_CHARACTERS - 1


@pytest.mark.spec("SPK-58")
def test_pronunciations_cannot_make_a_message_longer_than_any_may_be() -> None:
    reading = Reading(pronunciations=Pronunciations({"a": "x" * 196}))
    assert len(" ".join(split("a " * 500, reading=reading))) > 98_000
    with pytest.raises(InvalidRequest, match=r"With the pronunciations in force .* at most 100,000"):
        split("a " * (LONGEST_MESSAGE_CHARACTERS // 2), reading=reading)


@pytest.mark.spec("SPK-58")
def test_a_long_text_goes_on_with_pronunciations_of_usual_length() -> None:
    reading = Reading(pronunciations=Pronunciations({"API": "A P I"}))
    pieces = split("The API is up. " * 8_000, reading=reading)
    assert " ".join(pieces).count("A P I") == 8_000
