"""What the page shows of paths through the kernel: values for `templates/paths.html`.

Owns which kernels, functions and trees stand where. What came of functions is `reports.courses` and `reports.coverage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.courses import WORDS, Comparison, Line, astray, comparisons, moved, name_of, named_way, on, tree
from reports.coverage import Covered, by_document, cost, coverage, titles, traced
from reports.lines import Statement
from reports.matrix import Row
from reports.pages import Stand


def path_values(places: Sequence[Stand], table: Sequence[Row], said: Mapping[str, Statement]) -> dict[str, object]:
    """What the templates ask for; `traced` is False, and nothing else is asked for, where no run was traced."""
    runs = [stand.run for stand in places]
    tracing = [stand for stand in places if stand.run.functions or stand.run.paths]
    names = {stand.number - 1: stand.name for stand in tracing}
    functions = coverage([stand.run for stand in tracing])
    groups = dict(by_document(functions))
    others = groups.pop("", [])
    called = titles(said)
    compared = {row.id: comparisons(row, runs) for row in table}

    def trees(comparison: Comparison) -> list[tuple[str, str, int, list[Line]]]:
        """A tree for each column, with whose it is; equal ones once."""
        found: dict[tuple[Line, ...], tuple[str, str, int, list[Line]]] = {}
        for course in comparison.courses:
            for column in course.columns:
                path, lines = column.example, tree(column.example)
                if lines:
                    whose = f"{course.cases[0]} on {names[column.places[0]]}"
                    found.setdefault(tuple(lines), (whose, str(path.calls), path.lost, lines))
        return list(found.values())

    def reasons(function: Covered) -> list[str]:
        """Each with its kernels, if they aren't all."""
        return [reason.told([stand.name for stand in tracing]) for reason in function.reasons]

    def unseen() -> list[tuple[tuple[str, ...], tuple[str, ...], list[str]]]:
        """Why functions of the documents were never reached: states and reasons, and the names of all that have them."""
        found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
        for function in functions:
            if function.documents and not function.seen:
                states = tuple(dict.fromkeys(cell.state for cell in function.cells))
                found.setdefault((states, tuple(reasons(function))), []).append(function.name)
        return [(*why, names) for why, names in found.items()]

    return {
        "traced": traced(runs),
        "tracing": tracing,
        "comparisons": lambda row: compared[row.id],
        "lists": [
            (words, told)
            for words, find in (
                ("Paths that change from kernel to kernel", moved),
                ("Paths that aren't as drawn", astray),
            )
            if (told := [(name, listed) for name, found in compared.items() if (listed := find(found))])
        ],
        "costs": [(stand, made) for stand in places if (made := cost(stand.run))],
        "named_functions": [(called.get(document, f"Document {document}"), rows) for document, rows in groups.items()],
        "other_functions": [("", others)] if others else [],
        "unseen": unseen(),
        "path_words": WORDS,
        "path_number": {state: number for number, state in enumerate(WORDS, 1)},
        "name_of": name_of,
        "on": lambda numbers: on(numbers, names),
        "reasons": reasons,
        "trees": trees,
        "way": named_way,
    }
