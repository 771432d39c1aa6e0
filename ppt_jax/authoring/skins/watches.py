"""Watches: something may have happened out of sight, and those who would tell may keep silent."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Watch(Skin):
    """An event, those who might report it, and what may keep all reports back.

    Attributes:
      event: clause for the event, e.g. "a ship ran aground last night".
      noun: noun phrase for it, e.g. "a stranding".
      nights: plural of what a base rate runs over, e.g. "foggy nights".
      bring: present plural of that with the event, e.g. "bring a stranding".
      watchers: five who may report, with article, e.g. "the north light".
      watcher: what they are, singular, e.g. "lighthouse".
      reports: present singular, e.g. "sends a signal".
      report: noun for one report, e.g. "signal".
      cut: past clause for what keeps all reports back, e.g. "the telegraph was dead".
      unit: plural unit of the time that a report takes.
      delay: plausible averages of it.
    """

    event: str
    noun: str
    nights: str
    bring: str
    watchers: tuple[str, ...]
    watcher: str
    reports: str
    report: str
    cut: str
    unit: str
    delay: tuple[float, float]


SKINS = (
    Watch(
        "coast_lights", "coast watch", "at the {town} coast station",
        "a ship ran aground last night", "a stranding", "foggy nights", "bring a stranding",
        ("the north light", "the cape light", "the reef light", "the mole light",
         "the island light"),
        "lighthouse", "sends a signal", "signal", "the telegraph was dead",
        "minutes", (20, 60),
    ),
    Watch(
        "wolf_pass", "shepherding", "in the high pastures of {town}",
        "a wolf came over the pass", "a wolf", "moonless nights", "bring a wolf",
        ("the upper dog", "the lame dog", "the white dog", "the brook dog", "the young dog"),
        "dog", "barks", "bark", "the wind carried all sound away", "minutes", (4, 12),
    ),
    Watch(
        "archive_fire", "archive", "in the {town} archive",
        "a fire smouldered in the stacks", "a fire", "hot afternoons", "bring a fire",
        ("the hall detector", "the stair detector", "the cellar detector",
         "the attic detector", "the shaft detector"),
        "detector", "raises an alarm", "alarm", "the main cable was cut",
        "minutes", (5, 15),
    ),
    Watch(
        "flood_wave", "river watch", "on the river below {town}",
        "a flood wave left the lake", "a flood wave", "thaw days", "bring a flood wave",
        ("the mill post", "the bridge post", "the gorge post", "the ferry post",
         "the weir post"),
        "post", "makes a call", "call", "the valley line was down",
        "minutes", (10, 40),
    ),
    Watch(
        "prize_jury", "book prize", "at the {town} book prize",
        "the jury chose a newcomer", "such a choice", "years", "bring such a choice",
        ("the publisher", "the printer", "the bookseller", "the librarian", "the translator"),
        "insider", "drops a hint", "hint",
        "the jury was sworn to secrecy", "days", (3, 10),
    ),
    Watch(
        "orchard_thief", "fruit growing", "in the orchards of {town}",
        "a thief was among the trees", "a thief", "autumn nights", "bring a thief",
        ("the gander", "the yard dog", "the peacock", "the donkey", "the guinea hen"),
        "animal", "gives a cry", "cry", "the storm drowned every sound",
        "minutes", (3, 9),
    ),
    Watch(
        "tremor_posts", "earthquake watch", "at the {town} seismic office",
        "the sea floor slipped overnight", "a slip", "nights of swarm quakes", "bring a slip",
        ("the harbour needle", "the school needle", "the mine needle", "the dam needle",
         "the castle needle"),
        "needle", "sends a pulse", "pulse", "the radio link was down",
        "minutes", (5, 15),
    ),
    Watch(
        "summit_party", "expedition", "at the {town} base camp",
        "the climbers reached the summit", "a success", "such attempts", "bring success",
        ("the glacier camp", "the ridge camp", "the saddle camp", "the river camp",
         "the rock camp"),
        "camp", "fires a flare", "flare", "cloud hid every camp",
        "hours", (3, 9),
    ),
)  # fmt: skip
