"""The language of `--where`: from an expression to a column, an operator, and literals.

    column (= | != | < | <= | > | >=) literal
    column in (literal, ...)
    column is [not] null

A column name that is no plain word stands in double quotes. A literal is a number, a text in
single quotes, or true or false. A quote within quotes is doubled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gridcli.errors import UsageError
from gridcli.points.numbers import NUMBER_PATTERN, exact_value

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "is null", "is not null"]

_COMPARISONS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=")
_SYNTAX = (
    "An expression is: column OP literal, with OP one of = != < <= > >=; column in (a, b); or "
    "column is [not] null. Texts stand in single quotes, odd column names in double quotes."
)
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<number>{NUMBER_PATTERN}(?![\w.]))
    | (?P<word>[^\W\d]\w*)
    | (?P<name>"(?:[^"]|"")*")
    | (?P<text>'(?:[^']|'')*')
    | (?P<mark>[=!<>]+|[(),])
    | (?P<end>$)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Value:
    """A literal: its kind, and its content as text.

    Attributes
    ----------
    kind : {"number", "text", "boolean"}
    content : str
        A number as written; a text without its quotes; ``true`` or ``false``.
    """

    kind: Literal["number", "text", "boolean"]
    content: str


@dataclass(frozen=True)
class Condition:
    """One parsed expression.

    Attributes
    ----------
    expression : str
        As the user wrote it, for messages.
    column : str
    operator : Operator
    values : tuple of Value
        One for a comparison, any number for ``in``, none for ``is null``.
    """

    expression: str
    column: str
    operator: Operator
    values: tuple[Value, ...]


def parse_condition(expression: str) -> Condition:
    """Parse one expression of `--where`.

    Raises
    ------
    UsageError
        It does not follow the syntax; the message says at which character.

    Examples
    --------
    >>> parse_condition("speed >= 2.5").operator
    '>='
    """
    return _Parser(expression).condition()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = self._tokenize()
        self._next = 0

    def condition(self) -> Condition:
        column = self._column()
        operator, values = self._predicate()
        if self._peek().kind != "end":
            raise self._error("nothing more was expected; a second condition is a second --where")
        return Condition(self._expression, column, operator, values)

    def _column(self) -> str:
        token = self._peek()
        if token.kind not in {"word", "name"}:
            raise self._error("the name of a column is missing")
        self._next += 1
        return _unquoted(token.text) if token.kind == "name" else token.text

    def _predicate(self) -> tuple[Operator, tuple[Value, ...]]:
        if self._take("is"):
            operator: Operator = "is not null" if self._take("not") else "is null"
            if not self._take("null"):
                raise self._error("'null' or 'not null' is missing")
            return operator, ()
        if self._take("in"):
            return "in", self._list()
        for operator in _COMPARISONS:
            if self._take(operator):
                return operator, (self._value(),)
        hints = {"==": "write =", "<>": "write !="}
        raise self._error(hints.get(self._peek().text, "an operator is missing"))

    def _list(self) -> tuple[Value, ...]:
        if not self._take("("):
            raise self._error("'(' is missing")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        if not self._take(")"):
            raise self._error("',' or ')' is missing")
        return tuple(values)

    def _value(self) -> Value:
        token = self._peek()
        if token.kind == "number":
            if exact_value(token.text) is None:
                raise self._error("the number is too large")
            value = Value("number", token.text)
        elif token.kind == "text":
            value = Value("text", _unquoted(token.text))
        elif token.text.lower() in {"true", "false"}:
            value = Value("boolean", token.text.lower())
        elif token.text.lower() == "null":
            raise self._error("nothing equals null; write 'is null' or 'is not null'")
        elif token.kind in {"word", "name"}:
            raise self._error(f"a text stands in single quotes: '{token.text.strip(chr(34))}'")
        else:
            raise self._error("a number, a 'text', true or false is missing")
        self._next += 1
        return value

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        token = self._peek()
        is_it = token.kind in {"word", "mark"} and token.text.lower() == text
        self._next += is_it
        return is_it

    def _tokenize(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while not tokens or tokens[-1].kind != "end":
            match = _TOKEN.match(self._expression, position)
            if match is None or match.lastgroup is None:
                start = len(self._expression) - len(self._expression[position:].lstrip())
                raise self._error_at(start, _hint(self._expression[start]))
            tokens.append(
                _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
            )
            position = match.end()
        return tokens

    def _error(self, problem: str) -> UsageError:
        return self._error_at(self._peek().position, problem)

    def _error_at(self, position: int, problem: str) -> UsageError:
        rest = self._expression[position:]
        where = f"at character {position + 1}, before {rest!r}" if rest else "at its end"
        return UsageError(f"--where {self._expression!r}: {problem} ({where}). {_SYNTAX}")


def _hint(character: str) -> str:
    if character in {"'", '"'}:
        return f"the quote {character} is never closed"
    if character.isdigit() or character in "+-.":
        return "this is no number"
    return f"{character!r} has no meaning here"


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)
