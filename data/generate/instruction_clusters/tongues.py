"""Two languages: sentences and words translated, and which language a text or word is."""

from data.generate.instruction_clusters.lists import SERIES
from data.generate.instructions import Desk, Item
from data.generate.reading import words
from data.generate.translation import translations

NAMES = {"en": ("English", "英语"), "zh": ("Chinese", "中文")}


def into_english(desk: Desk) -> Item:
    texts = translations(desk.rng, desk.split)
    return Item(texts["zh"][0], texts["en"], key=texts["zh"][0])


def into_chinese(desk: Desk) -> Item:
    texts = translations(desk.rng, desk.split)
    return Item(texts["en"][0], texts["zh"], key=texts["en"][0])


def pairs(desk: Desk, count: int) -> list[dict[str, str]]:
    """Words of one kind in both languages; colours with their 色."""
    table = desk.rng.choice((*SERIES[:7], "days"))
    drawn = desk.rng.sample(words(table), count)
    return [{"en": w["en"], "zh": w["zh"] + "色" * (table == "colours")} for w in drawn]


def word(desk: Desk) -> Item:
    """One word out of or into English."""
    pair = pairs(desk, 1)[0]
    source, target = desk.rng.sample(("en", "zh"), 2)
    to = desk.either(*NAMES[target])
    return Item(pair[source], [pair[target]], {"to": to}, key=f"{pair['en']} {target}")


def either_one(desk: Desk) -> str:
    return desk.rng.choice(("en", "zh"))


def which(desk: Desk) -> Item:
    spoken = either_one(desk)
    author = Desk(desk.rng, desk.split, spoken)
    text = author.one(author.group("says"), "statement")
    return Item(text, [desk.either(*NAMES[spoken])])


def find(desk: Desk) -> Item:
    spoken = either_one(desk)
    other = "zh" if spoken == "en" else "en"
    first, *rest = pairs(desk, 4)
    found = [first[spoken], *(pair[other] for pair in rest)]
    listed = desk.listed(desk.rng.sample(found, 4))
    return Item(listed, [found[0]], {"tongue": desk.either(*NAMES[spoken])})


def same(desk: Desk) -> Item:
    """A sentence above its translation or above that of another sentence."""
    texts, right = translations(desk.rng, desk.split), desk.rng.random() < 0.5
    english = texts["en"]
    while not right and set(english) & set(texts["en"]):
        english = translations(desk.rng, desk.split)["en"]
    lines = [texts["zh"][0], english[0]]
    answer = desk.either(("no", "yes"), ("不一样", "一样"))[right]
    return Item("\n".join(desk.rng.sample(lines, 2)), [answer], key=lines[0])


CLUSTERS = {
    "translate": {"english": into_english, "chinese": into_chinese, "word": word},
    "language": {"which": which, "find": find, "same": same},
}
