"""Invented facts to plant in a novel, each with questions in its own words and in others.

Names are invented too, so that no novel has them. Every other word of a reworded question that carries
meaning is missing from its fact.
"""

import random
from dataclasses import dataclass

_FIRST_NAMES = """
Corvin Thessaly Ombrine Jorveth Maliska Pell Ysolde Tarquin Brannoc Vesper Odalys Quillon Ferrin Zephyra
Hollis Merrow Ansgar Lunette Dorvan Sabrel Kestrin Ilvane Rooke Tamsel Aubric Nerys Fennimore Isaura Garrow
Wilmet
"""
_LAST_NAMES = """
Thale Vorne Quickel Marrowby Astenholt Drusk Pennavar Ollenshaw Greel Tanquary Fothersill Vexmoor
Brackenrood Ullathorne Sarkany Whinstone Morrowdene Ketterpool Ravensby Yarborne Cressick Hallowmere
Dunnabeck Etterick Lorringham Zellweg Pomfrane Skarrow Thornquist Ambleforth
"""

# A thing, and the same thing in other words; so with the places.
_THINGS = (
    ("a silver flute", "a musical instrument of precious metal"),
    ("a brass telescope", "an optical device for stargazing"),
    ("a pearl necklace", "jewellery for the throat"),
    ("a loaded pistol", "a firearm"),
    ("a bundle of love letters", "romantic correspondence"),
    ("a jar of honey", "what bees make"),
    ("a rusty sword", "an old corroded blade"),
    ("a wooden doll", "a child's carved toy"),
    ("a leather purse of coins", "money"),
    ("a map of the island", "a chart of a place surrounded by sea"),
    ("a christening gown", "a baby's baptism clothes"),
    ("a bottle of poison", "a deadly liquid"),
    ("a gold watch", "a valuable timepiece"),
    ("an ivory chess set", "pieces for a board game"),
    ("a stuffed owl", "a preserved night bird"),
    ("a violin", "a stringed instrument"),
    ("a sack of barley", "grain"),
    ("a crystal mirror", "a looking-glass"),
    ("a widow's ring", "a bereaved wife's wedding band"),
    ("a prayer book", "a religious volume"),
)
_PLACES = (
    ("beneath the pear tree", "in the ground by a fruit-bearing trunk"),
    ("inside the church organ", "within the instrument that accompanies hymns"),
    ("under the third stair", "below a step"),
    ("behind the bakery oven", "at the back of where bread is made"),
    ("down the dry well", "in a shaft that no longer gave water"),
    ("in the hayloft", "up where fodder for horses is stored"),
    ("at the bottom of the pond", "underwater in a small pool"),
    ("among the beehives", "where stinging insects are kept"),
    ("in a coffin", "in a box meant for burying the dead"),
    ("up the chimney", "in the flue over the fireplace"),
)
_ACTS = (("hid", "hide", "conceal"), ("buried", "bury", "inter"), ("locked away", "lock away", "stow"))
_TAILS = (
    "and told nobody of it",
    "long before the thaw",
    "on the eve of the fair",
    "while the others were asleep",
    "without once turning round",
    "for reasons that were never explained",
)

# What somebody did or was, as it is told, and in other words.
_DEEDS = (
    ("had been a glassblower before the war", "used to earn a living shaping molten vases and goblets"),
    ("was terrified of geese", "dreaded large honking farmyard birds"),
    ("owed the miller forty crowns", "had a debt to the man who grinds flour"),
    ("lost two fingers in a sawmill", "had a hand maimed by timber-cutting machinery"),
    ("never slept without a lit candle", "needed a small flame burning at night to rest"),
    ("had a twin brother who drowned", "had a sibling born the same day that perished in water"),
    ("could recite the alphabet backwards", "was able to say all the letters in reverse order"),
    ("kept a tame fox in the kitchen", "had a wild red-furred animal living as an indoor pet"),
    ("was allergic to strawberries", "fell ill from eating a certain red summer fruit"),
    ("spoke fluent Portuguese", "was at home in the language of Lisbon"),
    ("had sailed twice around Cape Horn", "had voyaged past the southern tip of South America"),
    ("won a donkey at cards", "gained a beast of burden by gambling"),
    ("was left-handed and ashamed of it", "felt embarrassed about writing with the wrong arm"),
    ("set fire to the schoolhouse", "burned down the building where children were taught"),
    (
        "sold the family's only cow for a drum",
        "traded away a milk-giving animal to get a percussion instrument",
    ),
    ("walked with a limp since falling off a roof", "was lame after tumbling from the top of a house"),
    ("collected dead butterflies", "gathered lifeless winged insects as a hobby"),
    ("had married the undertaker's daughter", "was wed to a child of the man who arranged funerals"),
    ("forged the bishop's signature", "faked the handwriting of a high clergyman"),
    ("could not swim", "was helpless in deep water"),
    ("wrote poems about turnips", "composed verses on root vegetables"),
    ("had deserted from the cavalry", "ran away from a regiment of mounted soldiers"),
    ("smuggled brandy in a pram", "secretly carried illegal liquor in a baby carriage"),
    ("was born on a mail coach", "came into the world aboard a postal vehicle"),
    (
        "had dreamed of the same burning bridge every winter",
        "saw a river crossing in flames over and over in nightmares",
    ),
    ("refused to eat anything green", "rejected all food of the colour of grass"),
    (
        "tuned pianos for the blind asylum",
        "adjusted keyboard instruments at an institution for people without sight",
    ),
    ("bought a bankrupt circus", "purchased an insolvent show of clowns and acrobats"),
    ("had a scar shaped like a fish hook", "bore an old wound mark resembling an angler's barb"),
    ("carved the gravestones of the whole valley", "chiselled memorials for the dead"),
    ("had stolen a loaf as a child", "took bread without paying when young"),
    ("was cured of a fever by eating snow", "recovered from a high temperature thanks to frozen flakes"),
    ("taught a parrot to swear", "trained a talking bird to use foul language"),
    ("was engaged to three women at once", "promised marriage to several ladies simultaneously"),
    (
        "had seen the comet through a keyhole",
        "glimpsed a celestial body with a tail by peeping from behind a door",
    ),
    ("bribed the jury with smoked eels", "corrupted a court's verdict using preserved fish"),
    ("had outlived four husbands", "was widowed again and again"),
    ("built a clock out of bones", "made a timekeeping machine from skeleton parts"),
    ("inherited a lighthouse from an aunt", "was bequeathed a beacon tower for ships by a relative"),
    ("had once been struck by lightning", "survived a bolt from a thunderstorm"),
    ("went bald in a single week", "lost all hair within seven days"),
    ("baked a pie for the hangman", "prepared pastry for the executioner"),
    ("was deaf in the right ear", "had trouble hearing on one side"),
    ("shaved the prize sheep by mistake", "accidentally removed the wool of an award-winning animal"),
    ("had crossed the desert on foot", "traversed a sandy waste without riding"),
    ("feared the number seven", "was superstitious about a digit between six and eight"),
    ("painted every door in the village blue", "coloured the entrances of all the local houses like the sky"),
    ("was the natural son of a duke", "had an illegitimate nobleman for a father"),
    ("mended umbrellas in the marketplace", "repaired rain covers for a living"),
    ("had been buried alive and dug out again", "was mistaken for dead, put in a grave and rescued"),
)
_OPENINGS = (
    "Nobody doubted that {name} {told}.",
    "{name} {told}, as was no secret.",
    "It was said that {name} {told}.",
    "{name}, it must be told, {told}.",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A paragraph to plant, and what is asked about it.

    Attributes:
        text: the paragraph.
        literal: a question in its own words.
        paraphrased: one that keeps the person's first name and says all else in other words.
        unnamed: one that shares no word with it that carries meaning.
    """

    text: str
    literal: str
    paraphrased: str
    unnamed: str


def facts(count: int, seed: int) -> list[Fact]:
    """Facts about people with different names, the same ones for the same seed; at most 200."""
    dice = random.Random(seed)
    people = dice.sample(
        [(first, last) for first in _FIRST_NAMES.split() for last in _LAST_NAMES.split()], count
    )
    deeds = dice.sample(_DEEDS, min(len(_DEEDS), count // 2))
    hidden = dice.sample([(thing, place) for thing in _THINGS for place in _PLACES], count - len(deeds))
    made = [_deed(person, deed, dice) for person, deed in zip(people, deeds, strict=False)]
    made += [
        _hidden(person, thing, place, dice)
        for person, (thing, place) in zip(people[len(deeds) :], hidden, strict=True)
    ]
    dice.shuffle(made)
    return made


def _deed(person: tuple[str, str], deed: tuple[str, str], dice: random.Random) -> Fact:
    name, (told, reworded) = " ".join(person), deed
    return Fact(
        text=dice.choice(_OPENINGS).format(name=name, told=told),
        literal=dice.choice((f"Who {told}?", f"Was it {name} who {told}?")),
        paraphrased=f"Was it {person[0]} who {reworded}?",
        unnamed=f"Who {reworded}?",
    )


def _hidden(
    person: tuple[str, str], thing: tuple[str, str], place: tuple[str, str], dice: random.Random
) -> Fact:
    name = " ".join(person)
    did, do, other = dice.choice(_ACTS)
    return Fact(
        text=f"{name} {did} {thing[0]} {place[0]}, {dice.choice(_TAILS)}.",
        literal=dice.choice((f"Where did {name} {do} {thing[0]}?", f"Who {did} {thing[0]} {place[0]}?")),
        paraphrased=f"Where did {person[0]} {other} {thing[1]}?",
        unnamed=f"Who did {other} {thing[1]} {place[1]}?",
    )
