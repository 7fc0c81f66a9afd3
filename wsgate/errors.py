"""The one family of exceptions that wsgate raises on purpose."""

from __future__ import annotations


class WsgateError(Exception):
    """Base of every error that wsgate raises on purpose; its text is meant for an operator."""
