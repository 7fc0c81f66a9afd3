"""Limits of a route that limit nothing."""

from __future__ import annotations

from wsgate.config.model import RelayLimits

NO_LIMITS = RelayLimits(
    max_frame=0,
    max_message=0,
    max_fragments=0,
    control_rate=0,
    control_burst=0,
    messages_per_second=0,
    messages_burst=0,
    bytes_per_second=0,
    bytes_burst=0,
    limit_action="close",
    validate_utf8=False,
    ping_interval=0,
    ping_timeout=20,
    idle_timeout=0,
    max_age=0,
    max_age_jitter=0,
    close_timeout=5,
    slow_consumer_timeout=0,
    buffer=64 * 1024,
)
