"""Records about people, films, the weather and lost things, and their descriptions."""

import random

from data.generate.reading import phrases
from data.generate.scene import Scene

# kind -> fields: (part of the phrase book, key, Chinese key, value as a template)
Field = tuple[str, str, str, str]
FIELDS: dict[str, tuple[Field, ...]] = {
    "person": (
        ("job", "job", "职业", "{job}"),
        ("age", "age", "年龄", "{age}"),
        ("town", "town", "城镇", "{town}"),
        ("hobby", "hobby", "爱好", "{hobby}"),
        ("pet", "pet", "宠物", "{animal}"),
        ("friend", "friend", "朋友", "{person2.full}"),
    ),
    "film": (
        ("genre", "genre", "类型", "{genre}"),
        ("director", "director", "导演", "{person.full}"),
        ("length", "minutes", "片长", "{minutes}"),
        ("year", "year", "年份", "{year}"),
        ("place", "set in", "地点", "{town}"),
    ),
    "weather": (
        ("sky", "sky", "天气", "{sky}"),
        ("day", "day", "日期", "{day}"),
        ("high", "high", "最高气温", "{high}"),
        ("low", "low", "最低气温", "{low}"),
        ("wind", "wind", "风向", "{wind}"),
    ),
    "lost": (
        ("colour", "colour", "颜色", "{colour}"),
        ("owner", "owner", "主人", "{person.full}"),
        ("place", "found", "地点", "{spot}"),
        ("price", "price", "价格", "{price}"),
    ),
}
# kind -> key, Chinese key and value of the subject; how the first and later sentences call it
SUBJECTS = {
    "person": (("name", "姓名", "{person.full}"), "{person.full}", "{person.he}"),
    "film": (("title", "片名", "{film}"), "{film}", ("it", "它")),
    "weather": (("town", "城镇", "{town}"), "{town}", ("the town", "当地")),
    "lost": (("item", "物品", "{thing}"), "{thing.this}", ("it", "它")),
}


class Profile:
    """A kind, some of its fields in a random order, and the scene that holds their values."""

    def __init__(self, rng: random.Random):
        self.rng, self.scene = rng, Scene(rng)
        self.kind = rng.choice(list(FIELDS))
        fields = FIELDS[self.kind]
        self.fields = rng.sample(fields, rng.randint(2, len(fields)))

    def record(self, language: str) -> dict[str, str]:
        """Key -> value, the subject first."""
        key = 0 if language == "en" else 1
        subject = SUBJECTS[self.kind][0]
        rows = [subject, *(field[1:] for field in self.fields)]
        return {row[key]: self.value(row[2], language) for row in rows}

    def value(self, template: str, language: str) -> str:
        """The value as it stands in the scene, with no capital added."""
        return template.format_map(Facts(self.scene, language))

    def describe(self, language: str) -> str:
        """One sentence a field; the first one names the subject."""
        _, who, later = SUBJECTS[self.kind]
        if isinstance(later, tuple):
            later = later[language == "zh"]
        told = []
        for part, *_ in self.fields:
            name = self.value(who, language)
            told.append(self.sentence(part, language, name))
            who = later if self.named_by(part) else who
        return (" " if language == "en" else "").join(told)

    def named_by(self, part: str) -> bool:
        """Whether the sentence on this field has named the subject."""
        return "{who" in phrases("profiles")[self.kind][part]["en"][0]

    def sentence(self, part: str, language: str, name: str) -> str:
        return self.scene.tell(phrases("profiles")[self.kind][part], language, who=name, whom=name)


class Facts(dict):
    """A mapping from slot to fact, for str.format_map."""

    def __init__(self, scene: Scene, language: str):
        super().__init__()
        self.scene, self.which = scene, 0 if language == "en" else 1

    def __missing__(self, slot: str) -> str:
        return self.scene.fact(slot)[self.which]
