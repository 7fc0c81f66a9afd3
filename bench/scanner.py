"""What a 128-byte frame costs the scanner of the ``frames`` relay: pure Python, no socket.

    python -m bench.scanner SECONDS

prints one JSON object: microseconds of processor time for one frame.
"""

from __future__ import annotations

import json
import sys
import time

from wsgate.wire.ws_frames import FrameScanner
from wsgate.wire.ws_rules import FrameRules

FRAME = b"\x82\xfe\x00\x80" + b"\x12\x34\x56\x78" + bytes(128)
_BATCH = 2000


def microseconds(seconds: float) -> float:
    """The least processor time of one `scan` of one masked frame, all limits on, over ``seconds``."""
    rules = FrameRules(masked=True, max_frame=1 << 20, max_message=1 << 20, max_fragments=1024)
    scanner = FrameScanner(rules)
    scan = scanner.scan
    best = float("inf")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.process_time_ns()
        for _ in range(_BATCH):
            scan(FRAME)
        best = min(best, (time.process_time_ns() - before) / 1000 / _BATCH)
    assert scanner.frames and scanner.payload_bytes == 128 * scanner.frames
    return best


if __name__ == "__main__":
    print(json.dumps({"us_per_frame": microseconds(float(sys.argv[1]))}))
