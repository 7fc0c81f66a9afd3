#!/usr/bin/env python3
"""Echo server on PyPI `websockets` (the default Autobahn backend). Any path."""

import argparse
import asyncio
import signal

import websockets
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def echo(ws):
    try:
        while True:
            msg = await ws.recv()
            await ws.send(msg)
    except websockets.ConnectionClosed:
        pass


async def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--port", type=int, required=True)
    ap.add_argument("--host", default="127.0.0.1")
    a = ap.parse_args()
    stop = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    for s in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(s, lambda: stop.done() or stop.set_result(None))
    async with serve(
        echo,
        a.host,
        a.port,
        max_size=64 * 2**20,
        ping_interval=None,
        compression=None,
        extensions=[ServerPerMessageDeflateFactory()],
    ):
        print("ready", flush=True)
        await stop


asyncio.run(main())
