"""The ``balance`` option, parsed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """How the servers of a group take turns."""

    ROUND_ROBIN = "round_robin"
    LEAST_CONN = "least_conn"
    RANDOM_TWO = "random_two"
    HASH = "hash"
    FIRST = "first"


class KeyKind(StrEnum):
    """What of a request ``hash`` looks at; the values are the words of the INI."""

    CLIENT = "client"  # the client's address, without its port
    HOST = "host"
    PATH = "path"
    HEADER = "header"
    COOKIE = "cookie"
    ARGUMENT = "argument"


_NAMED = frozenset({KeyKind.HEADER, KeyKind.COOKIE, KeyKind.ARGUMENT})


@dataclass(frozen=True, slots=True)
class Balance:
    """A method, and for ``hash`` where its key comes from: ``name`` is that of the header, cookie or argument."""

    method: Method
    key: KeyKind | None = None
    name: str = ""

    def __str__(self) -> str:
        return " ".join(word for word in (self.method.value, self.key, self.name) if word)


def parse_balance(text: str) -> Balance:
    """``round_robin``, ``least_conn``, ``random_two``, ``first`` or ``hash KEY``; raises ValueError with a hint."""
    word, *rest = text.split() or [""]
    try:
        method = Method(word)
    except ValueError:
        raise ValueError(f"expected one of {', '.join(Method)}, not {word!r}") from None
    if method is not Method.HASH:
        if rest:
            raise ValueError(f"{method} takes nothing behind it")
        return Balance(method)
    return Balance(method, *_parsed_key(rest))


def _parsed_key(words: list[str]) -> tuple[KeyKind, str]:
    kind, *name = words or [""]
    try:
        key = KeyKind(kind)
    except ValueError:
        raise ValueError("expected hash client, host, path, header NAME, cookie NAME or argument NAME") from None
    if len(name) != (key in _NAMED):
        raise ValueError(f"expected hash {key} NAME" if key in _NAMED else f"hash {key} takes nothing behind it")
    return key, "".join(name)
