"""What a filter means, row by row: true, false or unknown, from the documented semantics alone.

A row is a dictionary from field names to plain Python values; None is null, `$meta` holds what a row has beyond its schema. Unknown is
None: a null operand makes a test unknown, and so does a JSON place that is missing, null or of another type than is asked for, and an array
that has no such element. `and`, `or` and `not` are Kleene's, over all rows at once: a truth is a pair of integers, whose bit i says that
row i is true, and that it is false.

Decisions where the documentation leaves room, on which server and oracle agree:
- a Float column is compared with a float constant in single precision, and calculates in it; with integers exactly;
- integers calculate exactly, `/` cuts towards zero, `%` has the sign of its left side, shifts are those of 64 bits;
- `in` is an `or` of equalities: with constants of several types a JSON value that isn't among them is unknown, not false; `in []` of
  something that is null or missing is unknown, in JSON only where the place is missing or null.
"""

import math
import re
from dataclasses import dataclass

import numpy

from syntax import parse

INTEGERS = ("Int8", "Int16", "Int32", "Int64")


@dataclass(frozen=True)
class Field:
    name: str
    # Bool, Int8 … Int64, Float, Double, VarChar, JSON, Array; the dynamic field is JSON.
    kind: str
    nullable: bool = False
    # Of an array.
    element: str | None = None


def single(value: float) -> float:
    """The nearest number of single precision; one that is too large stays."""
    with numpy.errstate(over="ignore"):
        rounded = float(numpy.float32(value))
    return rounded if math.isfinite(rounded) else value


def type_of(value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", tuple: "list", dict: "object", type(None): "null"}[type(value)]


def equal(a, b) -> bool:
    """Equality of constants and JSON values, types apart."""
    if type_of(a) != type_of(b):
        return False
    if type_of(a) == "list":
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    return a == b


def ordered(op: str, a, b) -> bool:
    if type_of(a) == "text":
        a, b = a.encode(), b.encode()
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]


def compare(op: str, value, constant) -> bool | None:
    if value is None or type_of(value) != type_of(constant):
        return None
    if op in ("==", "!="):
        return equal(value, constant) == (op == "==")
    return ordered(op, value, constant)


def like_pattern(pattern: str) -> re.Pattern:
    out, characters = [], iter(pattern)
    for character in characters:
        if character == "%":
            out.append(".*")
        elif character == "_":
            out.append(".")
        else:
            out.append(re.escape(next(characters, "\\") if character == "\\" else character))
    return re.compile("".join(out), re.DOTALL)


def regular_expression(pattern: str) -> re.Pattern:
    """RE2's pattern for Python: the end is the very end, classes know ASCII alone, `.` takes everything."""
    pattern = re.sub(r"(\\.)|(\[(?:\\.|[^\]])*\])|\$", lambda match: match[1] or match[2] or r"\Z", pattern, flags=re.DOTALL)
    pattern = pattern.replace(r"\s", r"[\t\n\f\r ]")
    return re.compile(pattern, re.DOTALL | re.ASCII)


def wrap64(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def calculate_integers(op: str, a: int, b: int) -> int:
    if op in ("/", "%"):
        quotient = abs(a) // abs(b)
        quotient = -quotient if (a < 0) != (b < 0) else quotient
        return quotient if op == "/" else a - quotient * b
    return {
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "&": lambda: a & b, "|": lambda: a | b, "^": lambda: a ^ b,
        "<<": lambda: wrap64(a << b), ">>": lambda: a >> b,
    }[op]()


def calculate_floats(op: str, a, b):
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[op]()


class World:
    """Rows of a schema, and what filters make of them."""

    def __init__(self, fields: list[Field], rows: list[dict]):
        self.fields = {field.name: field for field in fields}
        self.rows = rows
        self.all = (1 << len(rows)) - 1
        self.leaves: dict[tuple, tuple[int, int]] = {}

    def truth(self, text: str, templates: dict) -> tuple[int, int]:
        """Bits of the rows for which the filter is true, and of those for which it is false."""
        return self.combine(parse(text), templates)

    def combine(self, tree, templates: dict) -> tuple[int, int]:
        kind = tree[0]
        if kind == "not":
            true, false = self.combine(tree[1], templates)
            return false, true
        if kind in ("and", "or"):
            sides = [self.combine(side, templates) for side in tree[1]]
            return conjunction(sides, self.all) if kind == "and" else disjunction(sides, self.all)
        used = tuple((name, repr(templates[name])) for name in names_of_templates(tree))
        key = (tree, repr(tree), used)
        if key not in self.leaves:
            self.leaves[key] = self.bits(self.leaf(tree, templates))
        return self.leaves[key]

    def bits(self, test) -> tuple[int, int]:
        outcomes = [test(row) for row in self.rows]
        return tuple(int("".join("1" if outcome is wanted else "0" for outcome in reversed(outcomes)), 2) for wanted in (True, False))

    # Leaves: each gives a function of a row.

    def leaf(self, tree, templates: dict):
        kind = tree[0]
        self.templates = templates
        if kind == "constant":
            return lambda row: tree[1]
        if kind == "compare":
            return self.comparison(*tree[1:])
        if kind == "range":
            low, first, column, second, high = tree[1:]
            value, low, high = self.column(column), self.constant_for(column, low), self.constant_for(column, high)
            flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[first]

            def within(row):
                found = value(row)
                sides = (compare(flipped, found, low), compare(second, found, high))
                return False if False in sides else None if None in sides else True
            return within
        if kind == "in":
            return self.membership(*tree[1:])
        if kind in ("like", "regex"):
            value, pattern, negated = self.column(tree[1]), self.constant(tree[2]), kind == "regex" and tree[3]
            find = like_pattern(pattern).fullmatch if kind == "like" else regular_expression(pattern).search

            def matches(row):
                found = value(row)
                return (find(found) is not None) != negated if isinstance(found, str) else None
            return matches
        if kind in ("exists", "null"):
            return self.presence(tree)
        if kind == "call":
            return self.call(tree)
        raise AssertionError(f"{tree} is no condition")

    def column(self, tree):
        """The value of a column or a place in it; None where it is null, missing or JSON's null."""
        _, name, steps = tree
        if name not in self.fields:
            name, steps = "$meta", (name, *steps)

        def value(row):
            found = row.get(name)
            for step in steps:
                if isinstance(step, int):
                    found = found[step] if isinstance(found, list) and step < len(found) else None
                else:
                    found = found.get(step) if isinstance(found, dict) else None
            return found
        return value

    def kind_of(self, tree) -> str:
        """What the values of a column's tree are."""
        field = self.fields.get(tree[1])
        if field is None:
            return "JSON"
        return field.element if field.kind == "Array" and tree[2] else field.kind

    def constant(self, tree):
        kind = tree[0]
        if kind == "constant":
            return tree[1]
        if kind == "template":
            return self.templates[tree[1]]
        if kind == "list":
            return [self.constant(item) for item in tree[1]]
        if kind == "unary":
            value = self.constant(tree[2])
            return {"+": lambda: value, "-": lambda: -value, "~": lambda: ~value}[tree[1]]()
        if kind == "arithmetic":
            a, b = self.constant(tree[2]), self.constant(tree[3])
            if tree[1] == "**":
                return float(a) ** float(b)
            integers = isinstance(a, int) and isinstance(b, int)
            return calculate_integers(tree[1], a, b) if integers else calculate_floats(tree[1], float(a), float(b))
        raise AssertionError(f"{tree} is no constant")

    def is_constant(self, tree) -> bool:
        if tree[0] in ("unary", "arithmetic"):
            return all(self.is_constant(side) for side in tree[2:])
        return tree[0] in ("constant", "template", "list")

    def constant_for(self, column, tree):
        """A constant as the column sees it."""
        return self.adapted(column, self.constant(tree))

    def adapted(self, column, value):
        kind = self.kind_of(column)
        if kind == "Array":
            kind = self.fields[column[1]].element
        if kind == "Float" and isinstance(value, float):
            return single(value)
        return [self.adapted(column, item) for item in value] if isinstance(value, (list, tuple)) else value

    def comparison(self, op: str, left, right):
        if self.is_constant(left) and self.is_constant(right):
            outcome = compare(op, self.constant(left), self.constant(right))
            return lambda row: outcome
        if self.is_constant(left):
            op = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
            left, right = right, left
        if right[0] == "column":
            a, b = self.column(left), self.column(right)

            def pair(row):
                x, y = a(row), b(row)
                return None if x is None or y is None else compare(op, x, y)
            return pair
        if left[0] == "call":
            length, bound = self.length(left), self.constant(right)
            return lambda row: compare(op, length(row), bound)
        if left[0] == "arithmetic":
            return self.arithmetic(op, left, right)
        value, bound = self.column(left), self.constant_for(left, right)
        return lambda row: compare(op, value(row), bound)

    def arithmetic(self, op: str, operation, right):
        _, sign, a, b = operation
        column, by = (b, a) if self.is_constant(a) else (a, b)
        by, bound = self.constant(by), self.constant(right)
        if column[0] == "call":
            value, kind = self.length(column), "Int64"
        else:
            value, kind = self.column(column), self.kind_of(column)
        if kind == "Float" and isinstance(bound, float):
            bound = single(bound)

        def outcome(row):
            found = value(row)
            if found is None or type_of(found) != "number":
                return None
            if isinstance(found, int) and isinstance(by, int):
                return compare(op, calculate_integers(sign, found, by), bound)
            if sign in ("%", "&", "|", "^", "<<", ">>"):
                return None
            with numpy.errstate(all="ignore"):
                if kind == "Float":
                    result = float(calculate_floats(sign, numpy.float32(found), numpy.float32(by)))
                else:
                    result = float(calculate_floats(sign, numpy.float64(found), numpy.float64(by)))
            return compare(op, result, bound)
        return outcome

    def membership(self, operand, items, negated: bool):
        value = self.column(operand)
        constants = [self.adapted(operand, item) for item in self.constant(items)]

        def is_in(row):
            found = value(row)
            if found is None:
                return None
            outcomes = [compare("==", found, constant) for constant in constants]
            outcome = True if True in outcomes else None if None in outcomes else False
            return None if outcome is None else outcome != negated
        return is_in

    def presence(self, tree):
        column = tree[1]
        value = self.column(column)
        if tree[0] == "null" and column[1] in self.fields and not column[2]:
            return lambda row: (row.get(column[1]) is None) != tree[2]
        # `is null` of a JSON place says that it doesn't exist.
        wanted = tree[0] == "exists" or tree[2]
        return lambda row: (value(row) is not None and value(row) != {}) == wanted

    def length(self, tree):
        assert tree[1] == "array_length", tree
        value = self.column(tree[2][0])

        def length(row):
            found = value(row)
            return len(found) if isinstance(found, list) else None
        return length

    def call(self, tree):
        _, name, (column, argument) = tree
        name = re.fullmatch(r"(?:json|array)_contains(_all|_any)?", name)
        value, wanted = self.column(column), self.constant_for(column, argument)
        quantifier = all if name[1] == "_all" else any
        wanted = wanted if name[1] else [wanted]

        def contains(row):
            found = value(row)
            if not isinstance(found, list):
                return None
            return quantifier(any(equal(item, constant) for item in found) for constant in wanted)
        return contains


def names_of_templates(tree) -> list[str]:
    if not isinstance(tree, tuple):
        return []
    if len(tree) == 2 and tree[0] == "template":
        return [tree[1]]
    return [name for part in tree for name in names_of_templates(part)]


def conjunction(sides, everything: int) -> tuple[int, int]:
    true, false = everything, 0
    for side_true, side_false in sides:
        true, false = true & side_true, false | side_false
    return true, false


def disjunction(sides, everything: int) -> tuple[int, int]:
    true, false = 0, everything
    for side_true, side_false in sides:
        true, false = true | side_true, false & side_false
    return true, false
