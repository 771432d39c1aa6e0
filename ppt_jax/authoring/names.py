"""People's and places' names: a short mixed list and names built from syllables."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Short given names from many languages; none is an English word, a month, or part of another.
GIVEN = _words("""
    Ines Teo Marit Juno Oriel Tamsin Kofi Yara Anouk Bram Chidi Dagny Emeka Farid Greta Hiro Ilse
    Jorge Katya Lior Milo Nadia Odile Pavel Quentin Rosa Samir Tove Ursel Vikram Wanda Ximena Yusuf
    Zofia Amara Bodil Carmen Dmitri Elif Fiona Goran Hanna Imani Jarek Keiko Leif Malik Noor Otto
    Priya Rafael Sanna Tariq Umeko Vera Wiebke Yolanda Zeno Astrid Benoit Chiara Dalia Enzo Freya
    Gustav Henrik Isolde Jamila Kwame Lucia Mateo Nils Olga Paolo Renata Stefan Thandi Uri Viola
    Walid Xavier Ylva Zara Aiko Bashir Celine Dorota Esra Filip
""")
_FIRST = _words("Ba Be Da De Fa Ga Ha Ja Ka Ke La Le Ma Me Na Ne Pa Ra Ri Sa Se Ta Ti Va Ve Wa Za")
_MIDDLE = _words("bri da di fe ga ka ki la li lo ma mi mo na ni no ra ri ro sha ta ti va vi zu")
_LAST = _words("dan del din dra fin kin len lia lin mar mir nel nia ran rek rin san tan vik zan")
_WORDLIKE = frozenset(_words("Panel Satan Titan Mania Bakin Derek Valid Tavern Marina"))
_TOWN_HEAD = _words(
    "Al Bel Bor Cal Dun El Far Gren Hal Kel Lor Mar Nor Or Pel Quar Ros Sel Tor Ul Vel Wen Yar"
)
_TOWN_TAIL = _words(
    "bach by dale den fell ford gate ham hurst ley mar mere mont nock sund thorpe vik wick wold"
)


def pick_people(
    rng: np.random.Generator, count: int, *, avoid: Collection[str] = frozenset()
) -> list[str]:
    """Distinct names in random order, about half of them built from syllables."""
    names: list[str] = []
    while len(names) < count:
        if rng.random() < 0.55:
            name = GIVEN[int(rng.integers(len(GIVEN)))]
        else:
            parts = [_pick(rng, _FIRST)]
            if rng.random() < 0.45:
                parts.append(_pick(rng, _MIDDLE))
            name = "".join((*parts, _pick(rng, _LAST)))
        taken = (*names, *avoid)
        free = name not in _WORDLIKE
        if free and all(name not in other and other not in name for other in taken):
            names.append(name)
    return names


def pick_town(rng: np.random.Generator) -> str:
    """A made-up place name such as "Kelmere"."""
    return _pick(rng, _TOWN_HEAD) + _pick(rng, _TOWN_TAIL)


def _pick(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(rng.integers(len(items)))]
