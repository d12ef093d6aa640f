"""A row's fields, each checked when it is asked for.

Two things can be wrong with a row. It is *malformed* (a field is missing or of the wrong type):
that is a ValueError, `file:line: field …, expected …`, because to go on would be to guess. Or it is
well formed and yet *unusable* (an empty response, null where text is wanted): it is skipped, and
counted with its reason.
"""

WORDS = {str: "text", bool: "true or false", int: "a number", float: "a number"}
WORDS |= {list: "a list", dict: "an object", type(None): "null"}


def listed(names):
    """Names in a message: a newline in one must not break its line."""
    return ", ".join(repr(str(name))[1:-1] for name in names)


class Unusable(Exception):
    """Why a well-formed row gives no record. Raised for a row, yielded for a part of one."""


class Fields:
    """The fields of one JSON object; `at` is "file:line", `inside` the way to a nested object."""

    def __init__(self, values, at, inside=""):
        if not isinstance(values, dict):
            where = f"field {inside.rstrip('.')}" if inside else "row"
            raise ValueError(f"{at}: {where} is {WORDS[type(values)]}, expected an object")
        self.values, self.at, self.inside = values, at, inside

    def __contains__(self, name):
        return self.values.get(name) is not None

    def error(self, name, expected):
        """A ValueError that says what the field is and what it should be."""
        value = self.values.get(name)
        found = WORDS[type(value)] if name in self.values else "missing"
        if isinstance(value, bool | int | float):
            found = repr(value)
        return ValueError(f"{self.at}: field {self.inside}{name} is {found}, expected {expected}")

    def value(self, name, types, expected):
        """The field, if it is of one of `types`; null is no value and makes the row unusable."""
        if name not in self.values:
            raise self.error(name, expected)
        value = self.values[name]
        if value is None:
            raise Unusable(f"field {self.inside}{name} is null")
        if not isinstance(value, types) or (isinstance(value, bool) and types is int):
            raise self.error(name, expected)
        return value

    def text(self, name, optional=False):
        """A text; an optional one may be missing or null and is "" then."""
        if optional and name not in self:
            return ""
        return self.sound(name, self.value(name, str, "text"))

    def sound(self, name, text):
        """Half of a surrogate pair (an emoji cut in two) is no text and cannot be encoded."""
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self.error(name, "text without halves of surrogate pairs") from None
        return text

    def items(self, name, types, expected):
        """A list whose items are all of one of `types`."""
        values = self.value(name, list, f"a list of {expected}")
        for i, value in enumerate(values):
            if not isinstance(value, types) or (isinstance(value, bool) and types is int):
                inner = Fields({f"{name}[{i}]": value}, self.at, self.inside)
                raise inner.error(f"{name}[{i}]", expected)
        return values

    def texts(self, name):
        """A list of texts; a single text is a list of one."""
        if isinstance(self.values.get(name), str):
            return [self.text(name)]
        return [self.sound(name, text) for text in self.items(name, str, "texts")]

    def numbers(self, name):
        return self.items(name, int, "whole numbers")

    def number(self, name):
        return self.value(name, int, "a whole number")

    def object(self, name):
        return Fields(self.value(name, dict, "an object"), self.at, f"{self.inside}{name}.")

    def objects(self, name):
        """A list of objects, each as Fields that know their way from the row."""
        values = self.items(name, dict, "objects")
        return [Fields(v, self.at, f"{self.inside}{name}[{i}].") for i, v in enumerate(values)]
