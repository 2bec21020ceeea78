"""Random schemas, odd rows, and filters over them, all from one seed.

Values come from small pools, so that constants meet them, and from the edges of their types. Filters come as leaves (one test of one or two
columns, in one of many spellings) and as trees of those.
"""

import json
import random
from dataclasses import dataclass, field

import numpy

from truth import INTEGERS, Field, single

SCALARS = ("Bool", *INTEGERS, "Float", "Double", "VarChar")
WIDTH = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
TEXTS = ["", "a", "b", "ab", "ba", "aab", "%", "_", "a%b", "a_b", "\\", "a\\b", "'", '"', "é", "中文", "😀", "a\nb", " ", "A", "ab\n", "0", "12"]
KEYS = ["a", "b", "c", "a/b", "~", "é", "k y"]
FLOATS = [0.0, -0.0, 0.5, -0.5, 1.0, 1.5, -2.5, 2.0, 3.0, 0.1, 1e300, -1e300, 9007199254740992.0, 5e-324]
SINGLES = [0.0, -0.0, 0.5, -0.5, 1.0, 1.5, -2.5, 2.0, 3.0, 0.1, 3e38, -3e38, 16777216.0, 1e-45]
EDGES = [127, -128, 300, 16777217, 9007199254740992, 9007199254740993, 2**63 - 1, -2**63, 2**63 - 2]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]
SWAPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass
class Filter:
    """A text and the values of its templates."""
    text: str
    templates: dict = field(default_factory=dict)


class Maker:
    """One schema with its rows and filters. The same seed makes the same of everything."""

    def __init__(self, seed: int, rows: int):
        self.random = random.Random(seed)
        self.fields = self.make_fields()
        self.plain = [field for field in self.fields if field.name != "$meta"]
        self.rows = [self.make_row(i) for i in range(rows)]
        self.templates = 0

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, *ways):
        return self.random.choice(ways)

    # Schemas and rows.

    def make_fields(self) -> list[Field]:
        fields = [Field("id", "Int64")]
        kinds = self.random.sample(SCALARS, 5) + ["VarChar", "JSON"] + self.random.sample(SCALARS, 2)
        for i, kind in enumerate(kinds):
            fields.append(Field(f"f{i}", kind, nullable=self.chance(0.5)))
        for i, element in enumerate(self.random.sample(SCALARS, 3)):
            fields.append(Field(f"l{i}", "Array", nullable=self.chance(0.5), element=element))
        if self.chance(0.7):
            fields.append(Field("$meta", "JSON"))
        return fields

    def make_row(self, i: int) -> dict:
        row = {"id": i}
        for field in self.fields[1:]:
            if field.name == "$meta":
                row["$meta"] = {key: self.document(2) for key in KEYS[:4] if self.chance(0.5)}
            elif field.nullable and self.chance(0.2):
                row[field.name] = None
            elif field.kind == "Array":
                row[field.name] = [self.scalar(field.element) for _ in range(self.pick(0, 1, 2, 2, 3, 5))]
            else:
                row[field.name] = self.scalar(field.kind)
        return row

    def integer(self, kind: str = "Int64") -> int:
        if self.chance(0.75):
            return self.random.randint(-4, 5)
        limit = 1 << (WIDTH[kind] - 1)
        return max(-limit, min(limit - 1, self.random.choice(EDGES)))

    def scalar(self, kind: str):
        if kind == "Bool":
            return self.chance(0.5)
        if kind in INTEGERS:
            return self.integer(kind)
        if kind == "Float":
            return float(numpy.float32(self.random.choice(SINGLES)))
        if kind == "Double":
            return self.random.choice(FLOATS)
        if kind == "VarChar":
            return self.random.choice(TEXTS)
        return self.object(3)

    def object(self, depth: int) -> dict:
        return {key: self.document(depth - 1) for key in KEYS if self.chance(0.5)}

    def document(self, depth: int):
        if depth > 0 and self.chance(0.45):
            if self.chance(0.5):
                return self.object(depth)
            return [self.document(depth - 1) for _ in range(self.random.randint(0, 4))]
        return self.random.choice([None, True, False, self.integer(), self.random.randint(0, 3), self.random.choice(FLOATS),
                                   self.random.choice(TEXTS), self.random.choice(["a", "b"])])

    def indexes(self) -> dict[str, str]:
        """Scalar indexes for some of the fields, by name."""
        found = {}
        for field in self.plain[1:]:
            kind, element = field.kind, field.element or field.kind
            types = ["", "INVERTED"] if kind != "JSON" else []
            types += ["BITMAP"] if element in ("Bool", *INTEGERS, "VarChar") else []
            types += ["STL_SORT"] if kind in (*INTEGERS, "Float", "Double", "VarChar") else []
            types += ["TRIE"] if kind == "VarChar" else []
            if types and self.chance(0.6):
                found[field.name] = self.random.choice(types)
        return found

    # Constants as text.

    def constant(self, kind: str):
        """A value that may be compared with a column of this kind."""
        if kind == "JSON":
            return self.random.choice([self.integer(), self.random.choice(FLOATS), self.random.choice(TEXTS), self.chance(0.5),
                                       self.random.randint(0, 3), "a"])
        if kind in INTEGERS:
            return self.integer() if self.chance(0.8) else self.random.choice(FLOATS)
        if kind in ("Float", "Double"):
            return self.scalar(kind) if self.chance(0.7) else self.integer()
        return self.scalar(kind)

    def write(self, value, used: dict) -> str:
        """The value as text, or as a template that `used` gets."""
        if self.chance(0.15) and can_be_template(value):
            name = f"t{self.templates}"
            self.templates += 1
            used[name] = value
            return "{" + name + "}"
        if isinstance(value, bool):
            return self.pick("true", "True", "TRUE") if value else self.pick("false", "False", "FALSE")
        if isinstance(value, int):
            return self.write_integer(value)
        if isinstance(value, float):
            return self.pick(repr(value), repr(value), value.hex())
        if isinstance(value, str):
            return self.quote(value)
        items = self.pick(", ", ",").join(self.write(item, used) for item in value)
        return f"[{items}{self.pick('', ',') if value else ''}]"

    def write_integer(self, value: int) -> str:
        if value < 0 or self.chance(0.7):
            return str(value)
        return self.pick(hex(value), f"0{value:o}", f"0b{value:b}")

    def quote(self, value: str, quotes: str = "\"'") -> str:
        quote = self.random.choice(quotes)
        if self.chance(0.1) and not set(value) & {quote, "\n"}:
            return f"r{quote}{value}{quote}"
        out = []
        for character in value:
            if character in (quote, "\\"):
                out.append("\\" + character)
            elif character == "\n":
                out.append(self.pick("\\n", "\\x0a"))
            elif ord(character) > 127 and self.chance(0.3):
                out.append(f"\\U{ord(character):08x}")
            else:
                out.append(character)
        return quote + "".join(out) + quote

    # Leaves.

    def place(self, field: Field) -> str:
        """A JSON column, or a place in it."""
        if field.name == "$meta":
            key = self.random.choice(KEYS[:4])
            first = key if key in ("a", "b", "c") and self.chance(0.5) else f"$meta[{self.quote(key)}]".replace("[r", "[")
        else:
            first = field.name
            if self.chance(0.9):
                first += self.step(self.random.choice(KEYS))
        for _ in range(self.pick(0, 0, 0, 1, 1, 2)):
            first += self.step(self.random.randint(0, 3) if self.chance(0.4) else self.random.choice(KEYS[:4]))
        return first

    def step(self, step) -> str:
        return f"[{step}]" if isinstance(step, int) else f'["{step}"]' if self.chance(0.5) else f"['{step}']"

    def either_way(self, left: str, op: str, right: str) -> str:
        way = self.random.randint(0, 3)
        return f"{right} {SWAPPED.get(op, op)} {left}" if way == 0 else f"{left}{op}{right}" if way == 1 else f"{left} {op} {right}"

    def leaf(self) -> Filter:
        """One test."""
        if self.chance(0.06):
            pair = self.pair()
            if pair:
                return Filter(pair)
        field = self.random.choice(self.fields[1:]) if self.chance(0.97) else self.fields[0]
        used: dict = {}
        if field.kind == "JSON":
            text = self.json_leaf(field, used)
        elif field.kind == "Array":
            text = self.array_leaf(field, used)
        else:
            text = self.scalar_leaf(field.name, field.kind, used)
            if self.chance(0.08):
                text = f"{field.name} {self.null_test()}"
        return Filter(text, used)

    def null_test(self) -> str:
        return self.pick("is null", "IS NULL", "is not null", "IS NOT NULL")

    def scalar_leaf(self, name: str, kind: str, used: dict) -> str:
        ways = ["compare", "compare", "in"]
        if kind != "Bool":
            ways.append("range")
        if kind == "VarChar":
            ways += ["like", "like", "regex", "regex"]
        elif kind != "Bool":
            ways += ["arithmetic", "arithmetic"]
        way = self.random.choice(ways)
        if way == "compare":
            op = self.pick("==", "!=") if kind == "Bool" else self.random.choice(COMPARISONS)
            return self.either_way(name, op, self.write(self.constant(kind), used))
        if way == "in":
            items = [self.list_item(kind) for _ in range(self.pick(0, 1, 1, 2, 3, 12))]
            return f"{name} {self.pick('in', 'IN', 'not in', 'NOT IN', 'not  in')} {self.write(items, used)}"
        if way == "range":
            return self.range(name, [self.constant(kind), self.constant(kind)], used)
        if way == "arithmetic":
            return self.arithmetic(name, kind, used)
        return self.pattern(name, way, used)

    def list_item(self, kind: str):
        return self.integer() if kind in INTEGERS else self.constant(kind)

    def range(self, name: str, bounds: list, used: dict) -> str:
        low, high = sorted(bounds, key=lambda value: value.encode() if isinstance(value, str) else value)
        if isinstance(low, str) and low == high:
            high += "z"
        elif not isinstance(low, str) and single(low) >= single(high):
            low, high = -1, 2.5
        low, high = self.write(low, used), self.write(high, used)
        if self.chance(0.5):
            return f"{low} {self.pick('<', '<=')} {name} {self.pick('<', '<=')} {high}"
        return f"{high} {self.pick('>', '>=')} {name} {self.pick('>', '>=')} {low}"

    def arithmetic(self, name: str, kind: str, used: dict) -> str:
        integral = kind in INTEGERS
        op = self.random.choice(["+", "-", "*", "/"] + (["%"] if integral or kind == "JSON" else [])
                                + (["&", "|", "^", "<<", ">>"] if integral else []))
        by = self.random.randint(-4, 5)
        if op in ("<<", ">>"):
            by = self.pick(0, 1, 3, 63)
        elif op in ("/", "%"):
            by = by or 2
        if self.chance(0.3) and op in ("+", "-", "*", "/"):
            by = self.pick(0.5, 1.5, -2.0)
        bound = self.pick(self.random.randint(-8, 8), self.random.randint(-8, 8), 0.5, 1.5)
        by, bound = self.write(by, used), self.write(bound, used)
        swapped = op in ("+", "*", "&", "|", "^") and self.chance(0.3)
        operation = f"{by} {op} {name}" if swapped else f"{name} {op} {by}"
        if op in ("&", "|", "^") or self.chance(0.5):
            operation = f"({operation})"
        return self.either_way(operation, self.random.choice(COMPARISONS), bound)

    def pattern(self, name: str, way: str, used: dict) -> str:
        if way == "like":
            parts = ["a", "b", "%", "%", "_", "é", "\\%", "\\_", "\\\\", "中", "\n"]
            pattern = "".join(self.random.choice(parts) for _ in range(self.random.randint(0, 4)))
            return f"{name} {self.pick('like', 'LIKE')} {self.write(pattern, used)}"
        parts = ["a", "b", ".", "a*", "b+", "[ab]", "[^a]", "(a|b)", "\\d", "\\w", "\\W", "\\\\", "_", "%", "é", "中?", "b{2}", "\\s", "\\b"]
        pattern = self.pick("", "^") + "".join(self.random.choice(parts) for _ in range(self.random.randint(0, 3))) + self.pick("", "$")
        if self.chance(0.15):
            pattern = "(?i)" + pattern
        operator = self.pick("=~", "!~")
        if self.chance(0.2):
            return f"{name} {operator} {self.write_template(pattern, used)}"
        quote = self.pick('"', "'")
        return f"{name} {operator} {self.pick('', 'r')}{quote}{pattern}{quote}"

    def write_template(self, value, used: dict) -> str:
        name = f"t{self.templates}"
        self.templates += 1
        used[name] = value
        return "{" + name + "}"

    def elements(self, kind: str, nested: bool) -> list:
        items = [self.list_item(kind) for _ in range(self.pick(0, 1, 1, 2, 3, 5))]
        return items + [[self.constant(kind) for _ in range(self.pick(0, 1, 2))]] if nested and self.chance(0.15) else items

    def contains(self, name: str, kind: str, prefixes: tuple, used: dict) -> str:
        function = self.random.choice(prefixes) + self.pick("contains", "contains_all", "contains_any")
        nested = kind == "JSON"
        if function.endswith("contains"):
            element = self.list_item(kind)
            if nested and self.chance(0.2):
                element = [self.constant(kind) for _ in range(self.pick(0, 1, 2))]
        else:
            element = self.elements(kind, nested)
        return f"{self.pick(function, function.upper())}({name}, {self.write(element, used)})"

    def length(self, name: str, used: dict) -> str:
        length = f"{self.pick('array_length', 'ARRAY_LENGTH')}({name})"
        if self.chance(0.3):
            by = self.write(self.random.randint(1, 3), used)
            length += f" {self.pick('+', '-', '*', '%', '/')} {by}"
        return self.either_way(length, self.random.choice(COMPARISONS), self.write(self.random.randint(0, 4), used))

    def json_leaf(self, field: Field, used: dict) -> str:
        name = self.place(field)
        way = self.random.choice(["compare", "compare", "compare", "in", "range", "like", "regex", "arithmetic", "null", "exists", "contains",
                                  "contains", "length", "list"])
        if way == "compare":
            value = self.constant("JSON")
            op = self.pick("==", "!=") if isinstance(value, bool) else self.random.choice(COMPARISONS)
            return self.either_way(name, op, self.write(value, used))
        if way == "in":
            return f"{name} {self.pick('in', 'not in')} {self.write(self.elements('JSON', True), used)}"
        if way == "range":
            kind = self.pick("Double", "VarChar")
            return self.range(name, [self.scalar(kind), self.scalar(kind)], used)
        if way in ("like", "regex"):
            return self.pattern(name, way, used)
        if way == "arithmetic":
            return self.arithmetic(name, "JSON", used)
        if way == "null":
            return f"{name} {self.null_test()}"
        if way == "exists":
            return f"{self.pick('exists', 'EXISTS')} {name}" if name != field.name else f"{name} is null"
        if way == "contains":
            return self.contains(name, "JSON", ("json_", "array_"), used)
        if way == "length":
            return self.length(name, used)
        return f"{name} {self.pick('==', '!=')} {self.write(self.elements('JSON', True), used)}"

    def array_leaf(self, field: Field, used: dict) -> str:
        way = self.random.choice(["element", "element", "element", "contains", "contains", "contains", "length", "list", "null"])
        if way == "element":
            return self.scalar_leaf(f"{field.name}[{self.random.randint(0, 4)}]", field.element, used)
        if way == "contains":
            return self.contains(field.name, field.element, ("array_", "json_"), used)
        if way == "length":
            return self.length(field.name, used)
        if way == "list":
            some = self.random.choice(self.rows)[field.name] if self.chance(0.5) else None
            return f"{field.name} {self.pick('==', '!=')} {self.write(some or self.elements(field.element, False), used)}"
        return f"{field.name} {self.null_test()}"

    def pair(self) -> str | None:
        """A comparison of two columns."""
        numbers = [field for field in self.plain if field.kind in (*INTEGERS, "Float", "Double")]
        texts = [field for field in self.plain if field.kind == "VarChar"]
        some = self.pick(numbers, texts)
        if len(some) < 2:
            return None
        left, right = self.random.sample(some, 2)
        return f"{left.name} {self.random.choice(COMPARISONS)} {right.name}"

    # Trees.

    def tree(self, leaves: list[Filter], depth: int) -> Filter:
        """A filter over leaves; sides without parentheses join as precedence has it, which may be another tree."""
        if depth == 0 or self.chance(0.15):
            return self.random.choice(leaves)
        way = self.random.choice(["and", "or", "not"])
        if way == "not":
            inside = self.tree(leaves, depth - 1)
            return Filter(f"{self.pick('not ', 'NOT ', '!', '! ')}({inside.text})", inside.templates)
        sides = [self.tree(leaves, depth - 1) for _ in range(self.pick(2, 2, 3, 4))]
        operator = self.pick(" and ", " AND ", " && ") if way == "and" else self.pick(" or ", " OR ", " || ", "\nor\t")
        text = operator.join(f"({side.text})" if self.chance(0.6) else side.text for side in sides)
        return Filter(text, {name: value for side in sides for name, value in side.templates.items()})


def can_be_template(value) -> bool:
    """Whether the SDK sends it as it is: not lists in lists, nor texts or booleans beside other types."""
    if not isinstance(value, list):
        return True
    types = {type(item) for item in value}
    return list not in types and (len(types) <= 1 or types == {int, float})


def shown(row: dict) -> str:
    """A row for people to read."""
    return json.dumps(row, ensure_ascii=False, default=str)
