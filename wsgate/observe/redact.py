"""What the access log shows of text that may carry a credential.

Query strings, the user part of URLs and subprotocols are where browsers' WebSocket clients put tokens, since they
cannot set headers.  Square brackets can stand in none of them, so the mark cannot be mistaken for what a peer sent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

REDACTED = "[redacted]"
HIDDEN_QUERY = "..."

# A subprotocol that announces a credential in its next dotted part or in the next list item, as in
# "bearer.TOKEN", "bearer, TOKEN" or Kubernetes' "base64url.bearer.authorization.k8s.io.TOKEN".
_CREDENTIAL_WORD = re.compile(
    r"(?i)(?:^|[.:_-])(?:bearer|token|access[._-]?token|id[._-]?token|authorization|auth|jwt|apikey|api[._-]?key"
    r"|basic|secret|session|ticket|password)(?P<domain>\.k8s\.io)?(?=$|[.:=|_-])"
)
_CREDENTIAL_PARAMETER = re.compile(
    r"(?i)token|jwt|passw|secret|session|^sid$|api[._-]?key|^key$|auth|credential|^code$|^state$|ticket|sig|^pw$|^pwd$"
)
_RUN = re.compile(r"[A-Za-z0-9+/=_~%-]+")
_HEX = re.compile(r"[0-9A-Fa-f-]{32,}")

# No registered subprotocol has an unbroken run of this length; random text of 48 base64 characters is 36 bytes.
_LONGEST_RUN = 48
_LONGEST_SUBPROTOCOL = 64
_LONGEST_LIST = 1024


def _is_random(run: str) -> bool:
    """Whether a run of token characters looks drawn by lot rather than named by a person."""
    if len(run) > _LONGEST_RUN or _HEX.fullmatch(run):
        return True
    digits = sum(char.isdigit() for char in run)
    mixed = digits > 0 and any(char.islower() for char in run) and any(char.isupper() for char in run)
    return (len(run) >= 16 and mixed) or (len(run) >= 20 and digits >= 3)


def _shown_item(item: str) -> str:
    words = [found.end() for found in _CREDENTIAL_WORD.finditer(item)]
    if words and words[-1] < len(item):
        return item[: words[-1] + 1] + REDACTED  # the credential follows the last word
    if len(item) > _LONGEST_SUBPROTOCOL or any(_is_random(run) for run in _RUN.findall(item)):
        return REDACTED
    return item


@lru_cache(maxsize=128)  # there are few subprotocols in use, and each takes a dozen microseconds
def _shown_list(text: str) -> str:
    shown: list[str] = []
    announced = False
    for item in text.split(","):
        item = item.strip()
        shown.append(REDACTED if announced else _shown_item(item))
        found = _CREDENTIAL_WORD.search(item)
        announced = found is not None and found.end() == len(item)
    return ", ".join(shown)


def shown_subprotocol(text: str) -> str:
    """A subprotocol, or a comma-separated list of them, without what looks like a credential."""
    return _shown_list(text[:_LONGEST_LIST])


def shown_query(query: str, log_query: bool) -> str:
    """A query string: three dots, or with ``log_query`` the text without the values of credential-like names."""
    if not query:
        return ""
    if not log_query:
        return HIDDEN_QUERY
    parts = []
    for part in query.split("&"):
        name, equals, _value = part.partition("=")
        parts.append(f"{name}={REDACTED}" if equals and _CREDENTIAL_PARAMETER.search(unquote(name)) else part)
    return "&".join(parts)


def shown_url(url: str, log_query: bool) -> str:
    """A URL without user and password and without its fragment; its query as ``shown_query`` has it."""
    url = url.partition("#")[0]
    base, question, query = url.partition("?")
    start = base.find("//")
    if start >= 0:
        end = base.find("/", start + 2)
        end = len(base) if end < 0 else end
        at = base.rfind("@", start, end)
        if at >= 0:
            base = base[: start + 2] + base[at + 1 :]
    return base + question + shown_query(query, log_query)


def shown_path(path: str, log_query: bool) -> str:
    """The path of a request; a refused request may have had any text for a target, so this may be a whole URL."""
    if path.startswith("/") and "?" not in path:
        return path
    return shown_url(path, log_query)
