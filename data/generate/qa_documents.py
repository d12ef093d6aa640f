"""Documents of the corpus on profiles: records, descriptions and what can be asked about them.

Whatever follows the first lines can be found in them: the same facts in other words or in the
other language, gathered, compared, put in order, judged, or as answers to questions.
"""

import random

from data.generate import LANGUAGES
from data.generate.asking import choose, known
from data.generate.comparing import compare, comparison
from data.generate.contexts import LAYOUTS, RECORDS, group, record, tell
from data.generate.forms import Forms
from data.generate.profiles import Profile
from data.generate.qa import MAKERS, askable, claim, maker
from data.generate.qa_layouts import JUDGEMENTS, judgement, talk
from data.generate.reading import phrases
from data.generate.table_documents import tokens

ENGLISH = 0.58  # of the documents begin in English
CROSSED = 0.3  # of the documents go on in the other language
LONGEST = 150  # tokens, estimated high
EXAMPLE = 0.01  # of the records of people with a school: the chapter's own
TOLD = {"rt": 40, "tr": 14, "rtt": 8, "rr": 4}  # r record, t text
HARRY = (
    Forms("Harry", he="he", him="him", his="his", full="Harry Potter"),
    Forms("哈利", he="他", him="他", his="他的", full="哈利·波特"),
)
HOGWARTS = Forms("Hogwarts"), Forms("霍格沃茨")


def document(rng: random.Random) -> str:
    """One document of any kind, short enough for a model of 256 tokens."""
    kind = choose(rng, KINDS)
    while True:
        first, other = LANGUAGES if rng.random() < ENGLISH else LANGUAGES[::-1]
        text = kind(rng, first, other if rng.random() < CROSSED else first)
        if text and tokens(text) <= LONGEST:
            return text


def described(rng: random.Random, first: str, later: str) -> str:
    """One or two records with their descriptions, or the other way round."""
    layout = choose(rng, TOLD)
    lines = []
    for profile in group(rng, size=rng.choice((1, 1, 1, 2))):
        if lines and len(profile.fields) > 4:
            continue
        if chapter(profile):
            return chapter_lines(profile, first, later)
        if rng.random() < 0.5:
            profile.known = "name"
        styles = [choose(rng, RECORDS), "piped"]
        for i, form in enumerate(layout):
            spoken = later if i else first
            style = styles[i > 0]
            told = form == "t"
            lines.append(profile.describe(spoken) if told else record(profile, spoken, style))
    return "\n".join(lines)


def triples(rng: random.Random, first: str, later: str) -> str:
    """Two to five triples, each with its sentence on the next line or behind it."""
    lines, between = [], rng.choice(("\n", "\n", " -> "))
    for _ in range(rng.randint(2, 5)):
        profile = Profile(rng)
        if chapter(profile):
            lines.append(chapter_lines(profile, first, later))
            continue
        profile.fields = [rng.choice(profile.fields)]
        lines.append(record(profile, first, "triples") + between + profile.describe(later))
    return "\n".join(lines)


def chapter(profile: Profile) -> bool:
    """Whether the profile has become the chapter's example; one of a hundred that have a school."""
    schools = [f for f in profile.fields if f["field"] == "school" and profile.kind == "person"]
    if not schools or profile.rng.random() >= EXAMPLE:
        return False
    profile.fields, profile.known = schools, "name"
    profile.scene.facts = {"person": HARRY, "school": HOGWARTS}
    return True


def chapter_lines(profile: Profile, first: str, later: str) -> str:
    """'Harry Potter, Education, Hogwarts', and the sentence that the chapter makes of it."""
    template = phrases("profiles")["person"]["school"][later][0]
    told = profile.value(template, later, who=profile.name(later))
    return record(profile, first, "triples") + "\n" + told


def paraphrased(rng: random.Random, first: str, later: str) -> str:
    """One or two subjects described twice or three times."""
    profiles = group(rng, size=rng.choice((1, 1, 2)))
    texts = [tell(profiles, first, "prose")]
    for _ in range(rng.choice((1, 1, 2))):
        for profile in profiles:
            rng.shuffle(profile.fields)
        texts.append(tell(profiles, later, rng.choice(("prose", "prose", "mixed", "lines"))))
    return "\n".join(texts)


def gathered(rng: random.Random, first: str, later: str) -> str:
    """Facts in a jumble, then all that is told of one subject, or of each."""
    profiles = group(rng, size=rng.choice((2, 2, 3)))
    lines = [tell(profiles, first, rng.choice(("mixed", "mixed", "facts")))]
    style, before = choose(rng, RECORDS), rng.random() < 0.5
    about = {"en": "About {}: ", "zh": "关于{}："}[later] if before else ""
    records = rng.random() < 0.4
    for profile in rng.sample(profiles, rng.choice((1, len(profiles)))):
        rng.shuffle(profile.fields)
        told = record(profile, later, style) if records else profile.describe(later)
        lines.append(about.format(profile.name(later)) + told)
    return "\n".join(lines)


def questioned(rng: random.Random, first: str, later: str) -> str:
    """A text and one to four questions with their answers; in the other language rather rarely."""
    kinds = {kind: often for kind, (often, _) in MAKERS.items()}
    kind, wanted = choose(rng, kinds), rng.choice((1, 1, 2, 2, 3, 4))
    size = max(rng.choice((1, 2, 2, 3)), MAKERS[kind][1])
    profiles = group(rng, size=size, asked=lambda *field: askable(kind, *field))
    asked = []
    for _ in range(12 * wanted):
        question = maker(kind, size, rng)(profiles)
        if question is not None:
            asked.append(question)
            kind = choose(rng, {k: n for k, n in kinds.items() if MAKERS[k][1] <= size})
        if len(asked) == wanted:
            break
    spoken = later if rng.random() < 0.5 else first
    return talk(rng, profiles, asked, tell(profiles, first, choose(rng, LAYOUTS | RECORDS)), spoken)


def compared(rng: random.Random, first: str, later: str) -> str:
    """A text and what follows from it: Tom is older than Vera."""
    profiles = group(rng, size=rng.choice((2, 2, 3)), asked=lambda *f: askable("compare", *f))
    ways = ("two", "two", "most") if len(profiles) == 3 else ("two",)
    found = [compare(profiles, rng.choice(ways)) for _ in range(6)]
    told = list(dict.fromkeys(question.full(later) for question in found if question))
    text = tell(profiles, first, choose(rng, LAYOUTS | RECORDS))
    return "\n".join([text, *told[: rng.randint(1, 3)]]) if told else ""


def ordered(rng: random.Random, first: str, later: str) -> str:
    """A text and a list of its subjects by age, price or year."""
    profiles = group(rng, size=rng.choice((2, 3, 3)), asked=lambda *f: askable("compare", *f))
    kind = profiles[0].kind
    fields = [f for f in profiles[0].fields if askable("compare", kind, f["field"])]
    fields = [f for f in fields if all(f in p.fields for p in profiles)]
    if not fields:
        return ""
    row, field = comparison(kind, fields[0]["field"]), fields[0]
    down = rng.random() < 0.4
    values = {int(known(p, field)[0]): p for p in profiles}
    if len(values) < len(profiles):
        return ""
    names = [(values[n].name(later), n) for n in sorted(values, reverse=down)]
    text = tell(profiles, first, choose(rng, LAYOUTS | RECORDS))
    if later == "en":
        way = "from high to low" if down else "from low to high"
        return f"{text}\nBy {row['by']}, {way}: " + ", ".join(f"{a} ({n})" for a, n in names)
    way = "从大到小" if down else "从小到大"
    return f"{text}\n按{row['by_zh']}{way}：" + "、".join(f"{a}（{n}）" for a, n in names)


def judged(rng: random.Random, first: str, later: str) -> str:
    """A text and statements about it, with what is to be said of each."""
    profiles = group(rng, size=rng.choice((1, 2, 2, 3)))
    lines = [tell(profiles, first, choose(rng, LAYOUTS | RECORDS))]
    layout, words = rng.randrange(4), rng.choice(JUDGEMENTS[later])
    for _ in range(rng.randint(1, 4)):
        true = rng.random() < 0.5
        found = claim(profiles, true)
        if found is not None:
            profile, field, claimed = found
            said = claimed.sentence(field["field"], later)
            right = profile.sentence(field["field"], later)
            lines.append(judgement(layout, later, said, words[true], "" if true else right))
    return "\n".join(dict.fromkeys(lines)) if len(lines) > 1 else ""


KINDS = {
    described: 26, triples: 7, paraphrased: 14, gathered: 9, questioned: 30, compared: 6,
    ordered: 4, judged: 8,
}  # fmt: skip
