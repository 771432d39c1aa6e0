"""What plans are crossed from: domains, voices, twists, levels of difficulty, words for genres.

Language models left alone return to a few ideas; a plan that names a place and a voice does not.
Adding an entry is adding a line.
"""

from __future__ import annotations

from typing import Final

DOMAINS: Final = tuple(
    line.strip()
    for line in """
    a lock-keeper's canal stretch; an alpine weather hut; a village bakery; a puppet theatre
    a mushroom cellar; a night bus depot; an orchid greenhouse; a chess club in a library
    a harbour pilot station; a school orchestra; a beekeeping cooperative; a tram workshop
    a glass foundry; a mountain rescue post; a cheese cave; a second-hand bookshop
    a swimming school; a bell foundry; a regional museum's storeroom; a blood donation van
    a bicycle courier firm; a salt works; a film archive; a dog training field
    a tea estate; a lighthouse supply boat; a village election office; a pottery kiln
    a public aquarium; a wind farm; a laundry for hotels; an archery range
    a rye mill; a veterinary practice; a paper recycling yard; a sled dog team
    a radio repair bench; a hospital pharmacy; a rowing regatta; a seed bank
    a ferry crossing; a mosaic workshop; an observatory on a hill; a fishing quay
    a carpet mending room; a call centre for lost luggage; a vineyard at harvest; a clock tower
    a pinball arcade; a call for volunteer firefighters; a truffle hunt; a printing shop
    a climbing gym; a toy hospital; a peat bog survey; a cable car station
    a honey fair; a street food market; a choir festival; a drone survey of a forest
    a hand-bound book business; a language course; a sheep farm; a quarry
    a theatre lighting crew; a marathon aid station; a maple syrup camp; a locksmith
    a river flood watch; a hotel breakfast room; a spelling contest; a gravel pit
    a coral nursery; a pasta factory; a small airport tower; a quilting circle
    a mine rescue drill; a kite festival; a soup kitchen; a wildlife corridor
    an oyster bed; a community radio; a stage magic club; an ice rink
    a rice terrace; a goods station at night; a map archive; a plumbing service
    a birth clinic; a youth football league; a compost site; a pearl stringing table
    a leather tannery; a telescope kit seller; a customs shed; a tile factory
    a hedge maze; a school canteen; a snow plough depot; a piano tuner's round
    a falconry; a bottle bank; a cattle auction; a ski lift
    a reading group; a peanut roastery; an escape room; a cloud seeding trial
    a parish archive; a tyre workshop; a coin collection; a rooftop garden
    a card game evening; a reservoir; a wool dyer's yard; a museum night
    a language interpreter pool; a bread competition; a moth count; a parcel locker round
    a debate club; a grain elevator; a violin maker; a town fountain
    a village dance; a jam factory; a hot air balloon crew; a lost property office
    a rural health post; a cider press; a chess boxing gym; a model railway
    """.replace("\n", ";").split(";")
    if line.strip()
)
"""Places where something uncertain happens."""

PERSONAS: Final = (
    "a careful apprentice in the first month",
    "a retired keeper of records who likes exact figures",
    "a busy team leader between two shifts",
    "a curious visitor who asks how things work",
    "a local reporter with little space",
    "a sceptical inspector",
    "a parent who helps out at weekends",
    "a shop owner who has seen it all",
    "a student who writes a term paper",
    "a neighbour who is fond of details",
    "a newly hired technician",
    "an organiser who has to decide tonight",
    "a friendly rival from the next village",
    "a nurse on the late shift",
    "a treasurer with an eye for odds",
    "a trainer who keeps a notebook",
    "an amateur naturalist",
    "a dry-humoured caretaker",
    "a grandchild who took over the business",
    "a volunteer who writes the weekly bulletin",
)
"""Voices that tell."""

GENRES: Final = {
    "plain": "plain connected prose",
    "log": "a shift log: a heading and short lines",
    "letter": "a private letter with greeting and signature",
    "minutes": "minutes of a meeting",
    "dialogue": "a dialogue of two people, each turn a line that begins with a name and a colon",
    "forum": "a forum post that ends in asking what others make of it",
    "notes": "field notes in short lines",
    "exam": "an exercise as in a textbook",
    "bulletin": "a bulletin to everybody concerned",
    "email": "two e-mails, the second answering the first",
    "questions": "questions and answers",
    "field_notes": "a naturalist's or surveyor's notebook: a heading and short remarks",
    "radio": "a radio script with a host and a guest, each turn a line that begins with a name",
    "diary": "a page of a diary",
    "editor": "a letter to the editor of a local paper",
    "handover": "a handover note from one shift to the next",
}
"""How to ask for a genre; one that is not listed is asked for by its name."""

TWISTS: Final = (
    "no further twist",
    "no further twist",
    "a second source of observations that is clearly less reliable than the first",
    "one observation that was meant to be made and is missing",
    "a second possible explanation that competes with the obvious one",
    "a quantity that is told but turns out to matter for nothing that is asked",
    "two groups that differ, with members that differ within them",
    "one observation that is surprising at first sight",
)
"""What makes the structure differ from the motif's usual one."""

DIFFICULTIES: Final = {
    "easy": "one hidden quantity, direct observations of it",
    "medium": "two or three hidden quantities; the observations bear on them indirectly",
    "hard": "several hidden quantities act together; the obvious conclusion is not quite right",
}
"""Levels of difficulty in words."""

TOLD: Final = {
    "full": "every number that matters is told exactly",
    "verbal": "chances are told by fixed words (never by numbers); other quantities in numbers",
    "implicit": "usual chances, levels and spreads are left to what the reader knows of the world; "
    "everything else, and what was seen, is told in numbers",
}
"""What a story tells of its numbers."""
