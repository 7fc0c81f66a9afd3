#!/usr/bin/env python3
"""Client for the fuzzing-server mode, on PyPI `websockets`: echo until the server closes."""

import argparse
import asyncio
import json
import ssl

import websockets
from websockets.asyncio.client import connect


async def one(url, ctx, limit):
    try:
        async with connect(
            url, max_size=64 * 2**20, ping_interval=None, open_timeout=10, close_timeout=3, ssl=ctx, proxy=None
        ) as ws:
            async with asyncio.timeout(limit):
                while True:
                    await ws.send(await ws.recv())
    except (TimeoutError, websockets.WebSocketException, OSError):
        pass


async def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--url", required=True)
    ap.add_argument("--cases", required=True)
    a = ap.parse_args()
    ctx = None
    if a.url.startswith("wss:"):
        ctx = ssl.create_default_context()
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    for cid in json.load(open(a.cases)):
        await one("%s/runCase?casetuple=%s&agent=websockets" % (a.url, cid), ctx, 500)


asyncio.run(main())
