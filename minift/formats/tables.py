"""Tables of two columns: pairs, or texts and their labels.

A table whose second column holds whole numbers of at most 20 values is of labels; else it is of
pairs. Of more columns than two the first two are taken, unless `columns` names others (by the
header's names, or by numbers from 0), which also swaps them: ("1", "0").
"""

from minift.formats.fields import listed
from minift.formats.pairs import WHOLE, label_text, pair

MOST_LABELS = 20
# Names that make a first row a header where nothing else tells it from a row of texts.
HEADINGS = {"source", "target", "src", "tgt", "input", "output", "question", "answer", "query"}
HEADINGS |= {"prompt", "response", "completion", "text", "sentence", "label", "document", "article"}
HEADINGS |= {"sentiment", "class", "category", "review"}
HEADINGS |= {"summary", "highlights", "en", "zh", "english", "chinese", "title", "abstract"}


def names(cells):
    """A row of cells as the names of columns."""
    return [cell.strip().lower() for cell in cells]


def column_numbers(path, columns, header):
    """The two columns asked for, as numbers; names are looked up in the header."""
    columns = columns or (0, 1)
    if len(columns) != 2:
        raise ValueError(f"{path}: columns {listed(columns)}, expected two names or numbers")
    found = []
    for column in columns:
        name = str(column).strip().lower()
        if name.isdecimal():
            found.append(int(name))
        elif name in header:
            found.append(header.index(name))
        else:
            raise ValueError(
                f"{path}:1: column {listed([column])} is missing, expected one of {listed(header)}"
            )
    return found


def two_columns(path, rows, columns):
    """[(line, first, second)] of a table's rows, without its header."""
    header = names(rows[0][1])
    first, second = numbers = column_numbers(path, columns, header)
    for line, cells in rows:
        if len(cells) <= max(numbers):
            found = f"{len(cells)} column" + "s" * (len(cells) != 1)
            raise ValueError(f"{path}:{line}: {found}, expected at least {max(numbers) + 1}")
    chosen = [(line, cells[first], cells[second]) for line, cells in rows]
    named = not all(str(column).strip().isdecimal() for column in columns or (0, 1))
    return chosen[1:] if named or is_header(chosen) else chosen


def is_header(chosen):
    """The first row names the columns: both are common names, or it alone has no number."""
    (_, first, second), rest = chosen[0], chosen[1:]
    if {*names([first, second])} <= HEADINGS:
        return True
    return not WHOLE.fullmatch(second.strip()) and are_labels(rest)


def are_labels(chosen):
    """The rule for labels, on rows (line, text, label); an empty cell says nothing."""
    labels = {label.strip() for _, _, label in chosen} - {""}
    return 0 < len(labels) <= MOST_LABELS and all(WHOLE.fullmatch(label) for label in labels)


def fields_as_cells(rows, columns):
    """JSON rows as a table whose columns are the named fields, for `two_columns`."""
    table = [(0, [str(name).strip() for name in columns])]
    for row in rows:
        null = [name for name in table[0][1] if row.values.get(name, 0) is None]
        cells = [
            "" if name in null else str(row.value(name, (str, int), "text or a whole number"))
            for name in table[0][1]
        ]
        table.append((int(row.at.rpartition(":")[2]), cells))
    return table


def convert(source, first, second, labels):
    """The record of one row; labels: the second column is the text's label."""
    yield (label_text if labels else pair)(first, second, source)
