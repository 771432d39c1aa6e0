"""Asides: true but irrelevant sentences, some with numbers; no cause words, no names.

They speak of things that no program is about (furniture, food, paint, pets, clothes, clocks), and
an aside that shares a content word with its story is passed over, so that "the bus takes 12
minutes" never stands in a story about buses.
"""

from __future__ import annotations

import re

import numpy as np

PLAIN = (
    "The door had been painted blue the week before.",
    "Someone had left a radio playing in the corner.",
    "A new clock hangs by the entrance.",
    "The kettle has been mended at last.",
    "There was talk about a new roof.",
    "The old calendar still shows a lighthouse.",
    "A cat sleeps on the window sill most afternoons.",
    "The notice board was moved to the hall.",
    "The curtains were washed in spring.",
    "A visitor left a box of plums.",
    "The floor was swept again after lunch.",
    "Fresh tea was served in the green mugs.",
    "The key hangs on a brass hook now.",
    "A brass band practised next door.",
    "The umbrella stand has found its way back to the porch.",
    "Somebody pinned a postcard of a castle above the desk.",
    "The doormat says welcome in many languages.",
    "A geranium stands where the filing cabinet used to be.",
    "The piano in the back room is out of tune again.",
    "The biscuits were gone before noon.",
    "The hallway smells of fresh paint.",
    "A child drew a dragon on the back of the guest book.",
    "The lost glove has still not been claimed.",
    "The good scissors turned up behind the sofa.",
    "The portrait of the founder hangs slightly crooked.",
    "There was soup for lunch, and nobody complained.",
    "The telephone in the corridor no longer has a cord.",
    "Someone knitted a cover for the teapot.",
    "The light switch is now on the other side of the door.",
    "The stairs creak on the way to the attic.",
    "The banner from the jubilee was folded away.",
    "A jigsaw puzzle of a harbour lies unfinished on the table.",
    "The cupboard under the stairs was finally tidied.",
    "The dog from across the street came by for a scrap.",
    "The wallpaper has a pattern of small parrots.",
    "The letter box was given a coat of red lacquer.",
    "A poet lived in the house before the war.",
    "The cake was a present from the neighbours.",
    "The armchair by the stove has lost a leg.",
    "The spare spectacles lie in the second drawer.",
    "The bookshelf is sorted by colour these days.",
    "A crossword was left unfinished on the bench.",
    "The mayor waved from a bicycle on the way past.",
    "Nobody has wound the cuckoo clock since Easter.",
    "The mirror in the hall was polished for the occasion.",
    "The coat hooks were replaced with wooden ones.",
    "An old map of the county covers a crack in the wall.",
    "The choir next door sang the same tune all afternoon.",
)
NUMBERED = (
    "The new chairs cost {a} crowns each.",
    "The bus from the station takes {a} minutes.",
    "There are {a} pegs on the coat rack.",
    "The building is {b} years old.",
    "A jar on the shelf holds {b} buttons.",
    "Lunch costs {a} crowns in the canteen.",
    "The attic still holds {a} boxes of old paper.",
    "House number {b} across the street is for sale.",
    "The staircase has {a} steps.",
    "A raffle for the new roof sold {b} tickets.",
    "The guest book has {b} pages.",
    "The ladder is {a} hands long, as the caretaker likes to say.",
    "Postage went up by {a} cents in the spring.",
    "The key cabinet has {a} hooks, most of them empty.",
    "The choir next door has {a} members.",
    "A calendar from {b} years ago hangs in the cellar.",
    "The window has {a} panes.",
    "The cookbook on the shelf fell open at page {b}.",
    "It took {a} strokes of the brush to paint the number on the gate.",
    "The piano has {b} keys, counting the broken ones.",
    "The village brass band owns {a} trumpets.",
    "A tin of biscuits with {a} left in it went round.",
    "The radiator hums; it was installed {a} years ago.",
    "The caretaker has {a} grandchildren and mentions them often.",
)
_WORD = re.compile(r"[a-z]{4,}")
_COMMON = frozenset(
    _WORD.findall(
        "about above across after again been before behind came cost each four from given gone"
        " hangs have holds left like long lost more most much nearly never nobody number once other"
        " over past same says since some somebody someone stands still takes than that their them"
        " there they this took used usual went were where which with years"
    )
)


def content_words(text: str) -> frozenset[str]:
    """Lower-case words of four letters and more without a plural s and without common words."""
    found = _WORD.findall(text.lower())
    return frozenset(word.removesuffix("s") for word in found if word not in _COMMON)


def pick_asides(rng: np.random.Generator, count: int, story: str = "") -> list[str]:
    """Distinct asides, about four in ten with a number.

    Args:
      rng: the scenario's generator.
      count: how many.
      story: the text that they stand in; asides that share a content word with it are left out.
    """
    if not count:
        return []
    taken = content_words(story)
    pools = [
        [
            pool[int(i)]
            for i in rng.permutation(len(pool))
            if not content_words(pool[int(i)]) & taken
        ]
        for pool in (PLAIN, NUMBERED)
    ]
    found = []
    for _ in range(count):
        pool = pools[int(rng.random() < 0.4)] or pools[0] or list(PLAIN)
        text = pool.pop()
        found.append(text.format(a=int(rng.integers(3, 60)), b=int(rng.integers(14, 140))))
    return found
