"""Contests of teams: hidden strengths, the form of the day, and a side that comes out ahead."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class TeamContest(Skin):
    """Who meets in teams, at what, what they bring and what moves it from day to day.

    Attributes:
      actor: one player, singular.
      actors: plural.
      side: a team, singular; the plural takes an s.
      meet: one contest, singular, e.g. "race"; the plural takes an s.
      trait: what lasts, a noun phrase without article.
      second: another lasting trait in the same unit.
      unit: unit of both, plural.
      middle: plausible averages of the trait.
      sorts: three kinds of players, plural, weakest first.
      forms: three adjectives for the day, worst first.
      luck: what else moves a result, a noun phrase with article, singular.
      joint: how a side's result is made: "average", "total", or "least" (the weakest counts).
      won: past tense of coming out ahead, e.g. "beat".
      lost: the other way round, e.g. "lost to".
      win: bare infinitive of `won`.
      least: superlative of the low end.
      most: superlative of the high end.
    """

    actor: str
    actors: str
    side: str
    meet: str
    trait: str
    second: str
    unit: str
    middle: tuple[float, float]
    sorts: tuple[str, str, str]
    forms: tuple[str, str, str]
    luck: str
    joint: str
    won: str
    lost: str
    win: str
    least: str
    most: str


def _teams(name: str, domain: str, place: str, who: str, what: str, days: str) -> TeamContest:
    """An entry from three lines: people; traits, unit, averages, kinds; days, words for results."""
    actor, actors, side, meet, joint = (part.strip() for part in who.split("|"))
    trait, second, unit, middle, low, usual, high = (part.strip() for part in what.split("|"))
    bad, plain, good, luck, won, lost, win, least, most = (p.strip() for p in days.split("|"))
    bottom, top = (float(number) for number in middle.split("-"))
    return TeamContest(
        name, domain, place, actor, actors, side, meet, trait, second, unit, (bottom, top),
        (low, usual, high), (bad, plain, good), luck, joint, won, lost, win, least, most,
    )  # fmt: skip


SKINS = (
    _teams(
        "rowing_crews", "crew rowing", "at the {town} rowing club",
        "rower | rowers | crew | race | average",
        "pulling power | technique | points | 80-120 | novices | regulars | veterans",
        "sluggish | steady | inspired | the wind | beat | lost to | beat | weakest | strongest",
    ),
    _teams(
        "canoe_teams", "canoe racing", "on the canoe course at {town}",
        "paddler | paddlers | boat | sprint | total",
        "paddling strength | stroke control | points | 70-110 | beginners | racers | champions",
        "stiff | even | flowing | the current | out-paddled | lost to | out-paddle"
        " | slowest | fastest",
    ),
    _teams(
        "tug_teams", "tug of war", "on the {town} festival green",
        "puller | pullers | team | pull | total",
        "pulling strength | grip | kilos | 80-120 | lightweights | middleweights | heavyweights",
        "tired | fresh | fierce | the wet grass | out-pulled | gave way to | out-pull"
        " | weakest | strongest",
    ),
    _teams(
        "biathlon_relays", "biathlon", "at the {town} biathlon stadium",
        "biathlete | biathletes | team | relay | average",
        "skiing pace | shooting skill | points | 80-120 | juniors | squad skiers | internationals",
        "shaky | calm | razor-sharp | the snow | beat | lost to | beat | slowest | fastest",
    ),
    _teams(
        "volleyball", "beach volleyball", "on the beach courts of {town}",
        "player | players | side | match | average",
        "playing strength | jumping power | points | 70-110 | casuals | league players | masters",
        "off form | in form | unstoppable | the breeze | beat | lost to | beat"
        " | weakest | strongest",
    ),
    _teams(
        "synchro_diving", "team diving", "at the {town} diving pool",
        "diver | divers | team | contest | average",
        "diving skill | poise | points | 80-120 | learners | trained divers | medallists",
        "nervous | composed | flawless | the mood of the judges | out-dived | placed behind"
        " | out-dive | least skilled | most skilled",
    ),
    _teams(
        "relay_running", "relay running", "on the track at {town}",
        "runner | runners | team | relay | total",
        "running speed | staying power | points | 60-100 | joggers | club runners | sprinters",
        "leaden | brisk | flying | the gusty wind | outran | lost to | outrun | slowest | fastest",
    ),
    _teams(
        "team_time_trial", "team cycling", "on the ring road round {town}",
        "rider | riders | team | time trial | least",
        "leg power | endurance | watts | 180-260 | amateurs | semi-professionals | professionals",
        "drained | normal | fizzing | the side wind | beat | lost to | beat | weakest | strongest",
    ),
    _teams(
        "rope_climbing", "alpine climbing", "on the crags above {town}",
        "climber | climbers | rope | climb | least",
        "climbing skill | stamina | points | 70-110 | walkers | scramblers | mountaineers",
        "clumsy | careful | nimble | the loose rock | out-climbed | trailed | out-climb"
        " | least skilled | most skilled",
    ),
    _teams(
        "dinghy_sailing", "dinghy sailing", "on the lake at {town}",
        "sailor | sailors | boat | regatta | average",
        "sailing skill | strength | points | 70-120 | deckhands | helmsmen | skippers",
        "careless | alert | masterly | the shifting wind | out-sailed | finished behind"
        " | out-sail | least skilled | most skilled",
    ),
    _teams(
        "curling_rinks", "curling", "at the {town} curling hall",
        "curler | curlers | rink | game | average",
        "curling skill | sweeping power | points | 80-120 | newcomers | regulars | old hands",
        "scattered | solid | brilliant | the ice | beat | lost to | beat | weakest | strongest",
    ),
    _teams(
        "street_basketball", "street basketball", "on the street courts of {town}",
        "player | players | squad | game | total",
        "scoring power | defence | points | 60-100 | rookies | starters | stars",
        "cold | warm | on fire | the bounce of the ball | outscored | lost to | outscore"
        " | weakest | strongest",
    ),
    _teams(
        "swim_relays", "relay swimming", "in the {town} swimming hall",
        "swimmer | swimmers | team | relay | total",
        "swimming speed | turning skill | points | 80-120 | paddlers | club swimmers | racers",
        "heavy | smooth | gliding | the choppy water | out-swam | touched after | out-swim"
        " | slowest | fastest",
    ),
    _teams(
        "chess_teams", "team chess", "in the {town} chess league",
        "player | players | team | match | average",
        "playing strength | opening knowledge | points | 90-140 | learners | regulars | experts",
        "distracted | sound | deep | the draw of colours | beat | lost to | beat"
        " | weakest | strongest",
    ),
    _teams(
        "log_sawing", "lumberjack sports", "at the {town} timber fair",
        "sawyer | sawyers | gang | heat | total",
        "sawing power | rhythm | points | 70-110 | apprentices | woodcutters | lumberjacks",
        "blunt | keen | ferocious | the knots in the log | out-sawed | lost to | out-saw"
        " | weakest | strongest",
    ),
    _teams(
        "archery_teams", "team archery", "at the {town} archery butts",
        "archer | archers | team | shoot | average",
        "shooting skill | nerve | points | 80-120 | beginners | bowmen | marksmen",
        "wobbly | still | dead sure | the crosswind | out-shot | lost to | out-shoot"
        " | least skilled | most skilled",
    ),
    _teams(
        "quiz_tables", "pub quizzes", "at the quiz nights of {town}",
        "quizzer | quizzers | table | quiz | total",
        "general knowledge | quickness | points | 60-110 | guessers | readers | polymaths",
        "sleepy | awake | sparkling | the choice of topics | beat | lost to | beat"
        " | least knowing | most knowing",
    ),
    _teams(
        "cook_offs", "cook-offs", "in the kitchens of {town}",
        "cook | cooks | brigade | cook-off | average",
        "cooking skill | palate | points | 70-110 | trainees | line cooks | chefs",
        "flustered | tidy | dazzling | the taste of the jury | outcooked | lost to | outcook"
        " | least skilled | most skilled",
    ),
    _teams(
        "choir_contests", "choir contests", "at the {town} singing days",
        "singer | singers | ensemble | contest | average",
        "vocal skill | sight-reading | points | 70-120 | beginners | choristers | soloists",
        "hoarse | clear | radiant | the echo of the hall | out-sang | placed behind | out-sing"
        " | least skilled | most skilled",
    ),
    _teams(
        "hackathons", "hackathons", "in the computer club of {town}",
        "programmer | programmers | team | hackathon | total",
        "coding skill | design sense | points | 60-110 | students | developers | wizards",
        "stuck | productive | in flow | the choice of task | beat | lost to | beat"
        " | least skilled | most skilled",
    ),
    _teams(
        "sales_desks", "sales", "in the sales office at {town}",
        "seller | sellers | desk | campaign | total",
        "selling skill | product knowledge | points | 70-110 | trainees | agents | dealers",
        "listless | friendly | persuasive | the weather | outsold | sold less than | outsell"
        " | least skilled | most skilled",
    ),
    _teams(
        "rehab_groups", "rehabilitation", "at the {town} rehabilitation clinic",
        "patient | patients | group | therapy week | average",
        "resilience | muscle strength | points | 60-100 | frail cases | fair cases | robust cases",
        "weary | willing | eager | the care on the ward | recovered better than"
        " | recovered worse than | recover better than | least resilient | most resilient",
    ),
    _teams(
        "ward_shifts", "hospital nursing", "on the wards at {town}",
        "nurse | nurses | shift | audit | average",
        "nursing skill | experience | points | 70-110 | trainees | staff nurses | senior nurses",
        "overtired | attentive | tireless | the number of admissions | did better than"
        " | did worse than | do better than | least skilled | most skilled",
    ),
    _teams(
        "harvest_gangs", "fruit harvest", "on the orchards of {town}",
        "picker | pickers | gang | harvest day | total",
        "picking pace | care | crates | 40-80 | newcomers | hands | old hands",
        "slow | busy | tireless | the rain | out-picked | picked less than | out-pick"
        " | slowest | fastest",
    ),
)  # fmt: skip
