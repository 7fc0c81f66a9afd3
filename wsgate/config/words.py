"""Values of several words: ``name=value`` and flags, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wsgate.config.problems import unknown
from wsgate.config.values import BadValue


def worded(
    kind: str, words: Iterable[str], options: Mapping[str, Callable[[str], Any]], flags: Iterable[str] = ()
) -> dict[str, Any]:
    """The options among ``words`` by name, parsed; a flag that is there is True.

    ``kind`` names them to the operator.  Raises ``BadValue`` for an unknown word, a bad value and a repetition.
    """
    found: dict[str, Any] = {}
    names = tuple(flags)
    for word in words:
        name, equals, value = word.partition("=")
        if name in found:
            raise BadValue(f"{name} is given twice")
        if name in options and equals:
            try:
                found[name] = options[name](value)
            except BadValue as bad:
                raise BadValue(f"{word}: {bad}") from None
        elif name in names and not equals:
            found[name] = True
        else:
            raise BadValue(unknown(kind, word, [*(f"{option}=" for option in options), *names]))
    return found
