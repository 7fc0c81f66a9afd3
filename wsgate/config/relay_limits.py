"""The options of a route that limit a WebSocket: rows of the one table in ``wsgate.config.options``."""

from __future__ import annotations

from wsgate.config import kinds as k

#: Name, kind, default, documentation and, where it is not the default, an example.  The model holds the values together
#: as ``RelayLimits``.
LIMIT_ROWS = (
    ("max_frame", k.SIZE_OR_OFF, "off", "Size of a WebSocket frame; a larger one closes with 1009."),
    ("max_message", k.SIZE_OR_OFF, "1m", "Size of a WebSocket message, as on the wire; a larger one closes with 1009."),
    ("max_fragments", k.COUNT, "16384", "Frames of one message; 0: no limit."),
    (
        "control_rate",
        k.RATE,
        "200",
        "Pings, pongs and empty fragments a second that a side may send beyond its messages and its answers to pings; "
        "more closes with 1008. They carry nothing, so that no other limit stops a flood of them.",
    ),
    (
        "control_burst",
        k.COUNT,
        "5000",
        "Such frames that may come at once; 0: as many as in one second. Keep-alive puts up with a gap of 40 s, after "
        "which a side that pings a hundred times a second brings 4000.",
    ),
    ("messages_per_second", k.RATE, "off", "Messages that a client may send; an empty fragment counts as one."),
    ("messages_burst", k.COUNT, "0", "Messages that may come at once; 0: as many as in one second.", "20"),
    ("bytes_per_second", k.SIZE_OR_OFF, "off", "Bytes that a client may send."),
    ("bytes_burst", k.SIZE_OR_OFF, "0", "Bytes that may come at once; 0: as many as in one second.", "1m"),
    ("limit_action", k.LIMIT_ACTION, "close", "Over a rate: close with 1008, or wait with reading."),
    ("validate_utf8", k.SWITCH, "off", "Whether text that is not UTF-8 closes with 1007."),
    ("ping_interval", k.DURATION_OR_OFF, "20s", "Ping a side that has said nothing for so long."),
    ("ping_timeout", k.DURATION, "20s", "Time for the answer to a ping."),
    ("idle_timeout", k.DURATION_OR_OFF, "off", "Close a WebSocket without messages for so long."),
    ("max_age", k.DURATION_OR_OFF, "off", "Close a WebSocket that is so old; clients come back."),
    ("max_age_jitter", k.PERCENTAGE, "10%", "How much later, by chance, so that they do not come back together."),
    ("close_timeout", k.DURATION, "5s", "Time for the other side's Close before the connection is cut."),
    ("slow_consumer_timeout", k.DURATION_OR_OFF, "60s", "Close where a side has taken nothing for so long."),
    (
        "buffer",
        k.SIZE,
        "64k",
        "Bytes that wait for a slow side before the other is no longer read, until they are gone.",
    ),
)
