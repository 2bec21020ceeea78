"""Filter text to trees: tokens and precedences as the filter language documents them, and nothing taken from the server.

A tree is a tuple whose first item says what it is, so that trees can be keys of a dictionary:

    ("constant", value)                 ("column", name, steps)             ("template", name)
    ("list", (tree, …))                 ("unary", op, tree)                 ("arithmetic", op, left, right)
    ("compare", op, left, right)        ("range", low, op, column, op, high)
    ("in", tree, list, negated)         ("like", tree, pattern)             ("regex", tree, pattern, negated)
    ("exists", tree)                    ("null", column, negated)           ("call", name, arguments)
    ("and", (tree, …))                  ("or", (tree, …))                   ("not", tree)

Here is no meaning: that is `truth.py`.
"""

import re

KEYWORDS = {}
for word in ("and", "or", "not", "in", "like", "exists"):
    KEYWORDS[word] = KEYWORDS[word.upper()] = word
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

QUOTED = r'"(?:[^"\\\r\n]|\\.)*"|\'(?:[^\'\\\r\n]|\\.)*\''
IDENTIFIER = r"(?:\$meta|[A-Za-z_][A-Za-z0-9_]*)"
NOT_KEYWORD = r"(?!(?:%s)\b)" % "|".join(KEYWORDS)
TOKEN = re.compile(rf"""
      (?P<space>   [ \t\r\n]+)
    | (?P<null>    (?:is\ not\ null|is\ null|IS\ NOT\ NULL|IS\ NULL)(?![A-Za-z0-9_]))
    | (?P<raw>     [rR](?:"[^"\r\n]*"|'[^'\r\n]*'))
    | (?P<text>    (?:u8|u|U|L)?(?:{QUOTED}))
    | (?P<path>    {NOT_KEYWORD}{IDENTIFIER}(?:\[(?:{QUOTED}|0|[1-9][0-9]*)\])+)
    | (?P<name>    {IDENTIFIER})
    | (?P<hexfloat>0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+)
    | (?P<hex>     0[xX][0-9a-fA-F]+)
    | (?P<binary>  0[bB][01]+)
    | (?P<float>   (?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    | (?P<octal>   0[0-7]+)
    | (?P<decimal> [0-9]+)
    | (?P<sign>    \*\*|<<|>>|<=|>=|==|!=|=~|!~|&&|\|\||[-+*/%&|^~<>!()\[\],{{}}])
""", re.VERBOSE)

SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'", "?": "?"}
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", re.DOTALL)
STEP = re.compile(rf"\[({QUOTED}|[0-9]+)\]")

# Operators between operands: from the loosest row of the table to the tightest.
ROWS = [
    ["or"], ["and"], ["|"], ["^"], ["&"], ["==", "!="], ["<", "<=", ">", ">="], ["range"], ["in", "not"],
    ["<<", ">>"], ["+", "-"], ["*", "/", "%"], ["unary"], ["**"], ["like", "=~", "!~"], ["exists"],
]
STRENGTH = {operator: strength for strength, row in enumerate(ROWS) for operator in row}
ALIASES = {"&&": "and", "||": "or", "!": "not"}


class Invalid(Exception):
    """A text that is no filter."""


def unescape(body: str) -> str:
    def replace(match):
        two, four, eight, octal, other = match.groups()
        digits = two or four or eight
        if digits:
            return chr(int(digits, 16))
        if octal:
            return chr(int(octal, 8))
        return SIMPLE_ESCAPES.get(other, "\\" + other)
    return ESCAPE.sub(replace, body)


def string(literal: str) -> str:
    quote = min(at for at in (literal.find('"'), literal.find("'")) if at >= 0)
    return unescape(literal[quote + 1:-1])


def pattern_text(literal: str) -> str:
    """The text of a regular expression: escapes are its own, but for those of quotes."""
    quote = min(at for at in (literal.find('"'), literal.find("'")) if at >= 0)
    return re.sub(r"\\(.)", lambda match: match[1] if match[1] in "\"'" else match[0], literal[quote + 1:-1], flags=re.DOTALL)


def tokens(text: str) -> list[tuple]:
    """(kind, value) of each token, with a last one of kind "end"."""
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise Invalid(f"no token at {at} of {text!r}")
        at = match.end()
        kind, word = match.lastgroup, match[0]
        if kind == "space":
            continue
        if kind == "null":
            found.append(("null", "not" in word.lower()))
        elif kind == "raw":
            found.append(("text", word[2:-1], word[2:-1]))
        elif kind == "text":
            found.append(("text", string(word), pattern_text(word)))
        elif kind == "path":
            name = re.match(IDENTIFIER, word)[0]
            steps = STEP.findall(word[len(name):])
            found.append(("column", name, tuple(int(step) if step[0].isdigit() else string(step) for step in steps)))
        elif kind == "name" and word in KEYWORDS:
            found.append(("sign", KEYWORDS[word]))
        elif kind == "name" and word in BOOLEANS:
            found.append(("constant", BOOLEANS[word]))
        elif kind == "name":
            found.append(("column", word, ()))
        elif kind in ("hexfloat", "float"):
            found.append(("constant", float.fromhex(word) if kind == "hexfloat" else float(word)))
        elif kind == "sign":
            found.append(("sign", ALIASES.get(word, word)))
        else:
            base = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}[kind]
            found.append(("constant", int(word, base) if kind != "octal" else int(word[1:], 8)))
    found.append(("end", None))
    return found


class Parser:
    def __init__(self, text: str):
        self.tokens = tokens(text)
        self.at = 0

    def peek(self, ahead: int = 0) -> tuple:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def is_sign(self, *signs: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token[0] == "sign" and token[1] in signs

    def take(self) -> tuple:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, sign: str) -> None:
        if not self.is_sign(sign):
            raise Invalid(f"{self.peek()} where {sign} is wanted")
        self.at += 1

    def whole(self):
        tree = self.climb(0)
        if self.peek()[0] != "end":
            raise Invalid(f"{self.peek()} behind the end")
        return tree

    def climb(self, least: int):
        left = self.prefix()
        while self.peek()[0] == "sign":
            operator = self.peek()[1]
            strength = STRENGTH.get(operator)
            if operator in ("<", "<=", ">", ">=") and self.begins_range(operator):
                strength = STRENGTH["range"]
            if strength is None or strength < least or operator in ("exists", "unary", "range"):
                break
            left = self.infix(left, operator, strength)
        return left

    def begins_range(self, operator: str) -> bool:
        """Whether a column and a comparison in the same direction follow."""
        same = ("<", "<=") if operator in ("<", "<=") else (">", ">=")
        return self.peek(1)[0] == "column" and self.is_sign(*same, ahead=2)

    def infix(self, left, operator: str, strength: int):
        self.at += 1
        if operator in ("and", "or"):
            right = self.climb(strength + 1)
            sides = []
            for side in (left, right):
                sides += side[1] if side[0] == operator else [side]
            return (operator, tuple(sides))
        if strength == STRENGTH["range"]:
            column = self.take()
            second = self.take()[1]
            return ("range", left, operator, column, second, self.climb(strength + 1))
        if operator in ("in", "not"):
            if operator == "not":
                self.expect("in")
            return ("in", left, self.climb(strength + 1), operator == "not")
        if operator in ("like", "=~", "!~"):
            pattern = self.pattern(operator)
            return ("like", left, pattern) if operator == "like" else ("regex", left, pattern, operator == "!~")
        right = self.climb(strength + 1)
        kind = "compare" if operator in ("==", "!=", "<", "<=", ">", ">=") else "arithmetic"
        return (kind, operator, left, right)

    def pattern(self, operator: str):
        if self.is_sign("{"):
            return self.template()
        token = self.take()
        if token[0] != "text":
            raise Invalid(f"{token} is no pattern")
        return ("constant", token[1] if operator == "like" else token[2])

    def template(self):
        self.expect("{")
        name = self.take()
        self.expect("}")
        return ("template", name[1])

    def prefix(self):
        if self.is_sign("+", "-", "~", "not"):
            operator = self.take()[1]
            operand = self.climb(STRENGTH["unary"])
            return ("not", operand) if operator == "not" else ("unary", operator, operand)
        if self.is_sign("exists"):
            self.at += 1
            return ("exists", self.climb(STRENGTH["exists"]))
        if self.is_sign("("):
            self.at += 1
            inside = self.climb(0)
            self.expect(")")
            return inside
        if self.is_sign("["):
            return ("list", self.items("]"))
        if self.is_sign("{"):
            return self.template()
        token = self.take()
        if token[0] == "constant":
            return token
        if token[0] == "text":
            return ("constant", token[1])
        if token[0] != "column":
            raise Invalid(f"{token} is no operand")
        if self.is_sign("(") and not token[2]:
            return ("call", token[1].lower(), self.items(")"))
        if self.peek()[0] == "null":
            return ("null", token, self.take()[1])
        return token

    def items(self, close: str) -> tuple:
        """What stands between brackets, the first of which is here."""
        self.at += 1
        found = []
        while not self.is_sign(close):
            found.append(self.climb(0))
            if not self.is_sign(","):
                break
            self.at += 1
        self.expect(close)
        return tuple(found)


def parse(text: str):
    """The tree of a filter.

    Raises Invalid where the text is none.
    """
    return Parser(text).whole()
