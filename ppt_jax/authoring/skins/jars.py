"""Jars: closed containers with labels, and what a few pieces from inside tell about them."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Jar(Skin):
    """Labelled containers whose contents differ in how often a feature shows.

    Attributes:
      jar: the container, singular noun.
      jars: plural.
      item: one piece of the content, singular noun.
      items: plural.
      contents: four kinds of content, used as labels.
      shows: present singular clause of the feature, e.g. "is speckled".
      show: present plural, "are speckled".
      showed: past plural, "turned out speckled".
      helper: who may have mixed up the labels, with article.
    """

    jar: str
    jars: str
    item: str
    items: str
    contents: tuple[str, str, str, str]
    shows: str
    show: str
    showed: str
    helper: str


SKINS = (
    Jar(
        "bean_jars", "seed store", "in the seed store of {town}", "jar", "jars", "bean", "beans",
        ("bush beans", "pole beans", "field beans", "butter beans"), "is speckled",
        "are speckled", "turned out speckled", "the apprentice",
    ),
    Jar(
        "tea_tins", "tea trade", "at the {town} tea house", "tin", "tins", "leaf", "leaves",
        ("hill tea", "smoke tea", "river tea", "monsoon tea"), "has a silver tip",
        "have a silver tip", "had a silver tip", "the new clerk",
    ),
    Jar(
        "apple_crates", "fruit cellar", "in the fruit cellar at {town}", "crate", "crates",
        "apple", "apples", ("russets", "pippins", "codlins", "pearmains"), "has a red cheek",
        "have a red cheek", "had a red cheek", "the carter",
    ),
    Jar(
        "marble_bags", "toy shop", "in the {town} toy shop", "bag", "bags", "marble", "marbles",
        ("garden mix", "ocean mix", "desert mix", "winter mix"), "is blue", "are blue",
        "turned out blue", "a child",
    ),
    Jar(
        "coin_chests", "coin museum", "in the coin museum of {town}", "chest", "chests", "coin",
        "coins", ("harbour coins", "abbey coins", "castle coins", "market coins"),
        "shows a ship", "show a ship", "showed a ship", "the removal man",
    ),
    Jar(
        "flower_sacks", "bulb nursery", "in the bulb nursery of {town}", "sack", "sacks", "bulb",
        "bulbs", ("dawn tulips", "noon tulips", "dusk tulips", "snow tulips"),
        "has a split skin", "have a split skin", "had a split skin", "the night shift",
    ),
    Jar(
        "shell_boxes", "shore museum", "at the shore museum of {town}", "box", "boxes", "shell",
        "shells", ("reef shells", "dune shells", "pier shells", "cove shells"),
        "is cracked", "are cracked", "turned out cracked", "the cleaner",
    ),
)  # fmt: skip
