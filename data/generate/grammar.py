"""The little English grammar that templates need: articles, capitals, the third person."""

import re

ARTICLE = re.compile(r"\b([Aa])\(n\) (?=(\S))")
START = re.compile(r'(^"?|[.!?]"? "?|\n"?|, ")([a-z])')
VOWELS = "aeiouAEIOU"  # no noun of the world begins as "hour" or "unit" do


def an(noun: str) -> str:
    """The noun with its indefinite article."""
    return articles(f"a(n) {noun}")


def articles(text: str) -> str:
    """Replace every `a(n)` by the article that the next letter asks for."""
    return ARTICLE.sub(lambda m: m[1] + ("n " if m[2] in VOWELS else " "), text)


def third_person(verb: str) -> str:
    """'play chess' -> 'plays chess', 'fish' -> 'fishes'."""
    first, space, rest = verb.partition(" ")
    ending = "es" if first.endswith(("sh", "ch", "s", "x")) else "s"
    return first + ending + space + rest


def sentences(text: str) -> str:
    """Settle the articles and begin every sentence with a capital; Chinese text is unchanged."""
    return START.sub(lambda m: m[1] + m[2].upper(), articles(text))
