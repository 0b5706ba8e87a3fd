"""The names of languages: codes, and the English names, in lower case, as OpenAI's API gives the language of a
recording."""

from __future__ import annotations

_NAMES = """
af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian, bn bengali,
bo tibetan, br breton, bs bosnian, ca catalan, ceb cebuano, cmn chinese, co corsican, cs czech, cy welsh, da danish,
de german, el greek, en english, eo esperanto, es spanish, et estonian, eu basque, fa persian, fi finnish, fil tagalog,
fo faroese, fr french, fy frisian, ga irish, gd scottish gaelic, gl galician, gu gujarati, ha hausa, haw hawaiian,
he hebrew, hi hindi, hr croatian, ht haitian creole, hu hungarian, hy armenian, id indonesian, ig igbo, is icelandic,
it italian, iw hebrew, ja japanese, jv javanese, jw javanese, ka georgian, kk kazakh, km khmer, kn kannada, ko korean,
ku kurdish, ky kyrgyz, la latin, lb luxembourgish, ln lingala, lo lao, lt lithuanian, lv latvian, mg malagasy, mi maori,
mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay, mt maltese, my myanmar, nb norwegian, ne nepali,
nl dutch, nn nynorsk, no norwegian, oc occitan, or odia, pa punjabi, pl polish, ps pashto, pt portuguese, qu quechua,
ro romanian, ru russian, sa sanskrit, sd sindhi, si sinhala, sk slovak, sl slovenian, sm samoan, sn shona, so somali,
sq albanian, sr serbian, su sundanese, sv swedish, sw swahili, ta tamil, te telugu, tg tajik, th thai, tk turkmen,
tl tagalog, tr turkish, tt tatar, ug uyghur, uk ukrainian, ur urdu, uz uzbek, vi vietnamese, wo wolof, xh xhosa,
yi yiddish, yo yoruba, yue cantonese, zh chinese, zu zulu
"""
NAMES = dict(entry.split(" ", 1) for entry in _NAMES.replace("\n", " ").strip().split(", "))
"""By the first part of a BCP 47 tag. Where Whisper has a name of its own (`myanmar`, `nynorsk`), it is that."""

_CODES = {name: code for code, name in reversed(NAMES.items())} | {"norwegian": "no", "mandarin": "zh"}


def english_name(language: str) -> str:
    """Of a tag (`en-US`); of what is a name already, the name."""
    given = language.strip().lower()
    return NAMES.get(given.replace("_", "-").partition("-")[0], given)


def tag(written: str | None) -> str | None:
    """The BCP 47 tag of what people write for one, a locale's name (`de_AT.UTF-8`) and an English name too; None where
    the recogniser is to find out. What is no language that we know stays as it is: whoever knows more may know it."""
    given = (written or "").strip().partition(".")[0].replace("_", "-")
    if given.lower() in ("", "auto"):
        return None
    return _CODES.get(given.lower(), given)
