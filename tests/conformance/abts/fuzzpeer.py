"""A fuzzing WebSocket peer that runs Autobahn|Testsuite case classes.

It stands where the suite's own fuzzing.py stands (client or server role) and
offers the cases the interface they expect (`self.p.*`), on top of today's
Autobahn|Python.  Verdicts (behavior, behaviorClose) are those of the cases.
"""

import codecs
import time

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket import protocol as abproto
from autobahn.websocket.protocol import WebSocketProtocol
from pycases import to_bytes
from twisted.internet import reactor


# ---- speed only: same results as Autobahn's pure Python versions -------------
class FastMasker:
    """XOR masker working on whole buffers."""

    def __init__(self, mask, length=None):
        self._mask, self._ptr = mask, 0

    def pointer(self):
        return self._ptr

    def reset(self):
        self._ptr = 0

    def process(self, data):
        n = len(data)
        if n:
            k = self._ptr & 3
            m = self._mask[k:] + self._mask[:k]
            key = (m * (n // 4 + 1))[:n]
            data = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big")
        self._ptr += n
        return data


class FastUtf8Validator:
    def __init__(self):
        self.reset()

    def reset(self):
        self._d = codecs.getincrementaldecoder("utf-8")("strict")
        self._n = 0

    def validate(self, ba):
        try:
            self._d.decode(bytes(ba))
        except UnicodeDecodeError as e:
            return False, False, e.start, self._n + e.start
        self._n += len(ba)
        return True, not self._d.getstate()[0], len(ba), self._n


abproto.create_xor_masker = FastMasker
abproto.Utf8Validator = FastUtf8Validator


# Autobahn gives the other side a second for its Close, and another to end TCP: on a busy machine that looks unclean.
CLOSE_WAIT = 5
PATIENCE = {"closeHandshakeTimeout": CLOSE_WAIT, "serverConnectionDropTimeout": CLOSE_WAIT}


# ---- what the case classes expect of `self.p` ---------------------------------
class FuzzMixin:
    Case = None
    runCase = None
    connectionWasOpen = False
    createWirelog = True
    on_result = None

    def fuzz_init(self):
        self.rxFrameStats, self.txFrameStats = {}, {}
        self.caseStart = time.time()
        self.error = None

    # stats (10.1.1 looks at them)
    def logRxOctets(self, data):
        pass

    def logTxOctets(self, data, sync):
        pass

    def logRxFrame(self, header, payload):
        self.rxFrameStats[header.opcode] = self.rxFrameStats.get(header.opcode, 0) + 1

    def logTxFrame(self, header, payload, repeatLength, chopsize, sync):
        self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

    def enableWirelog(self, enable):
        pass

    # latin-1 "str" -> bytes on the way out
    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = to_bytes(payload)
        if payload_len == 0:
            payload, payload_len = b"", None
        return super().sendFrame(
            opcode=opcode,
            payload=payload,
            fin=fin,
            rsv=rsv,
            mask=mask,
            payload_len=payload_len,
            chopsize=chopsize,
            sync=sync,
        )

    def sendMessage(self, payload, isBinary=False, **kw):
        return super().sendMessage(to_bytes(payload), isBinary, **kw)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(to_bytes(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        return super().sendCloseFrame(code, to_bytes(reasonUtf8), isReply)

    # timers
    def _later(self, delay, fun):
        def fire():
            if self.state != WebSocketProtocol.STATE_CLOSED:
                self._guard(fun)

        reactor.callLater(delay, fire)

    def continueLater(self, delay, fun, tag=None):
        self._later(delay, fun)

    def killAfter(self, delay):
        self._later(delay, lambda: self._fail_connection())

    def closeAfter(self, delay):
        self._later(delay, lambda: self.sendClose())

    def _guard(self, fun, *a):
        """An error inside a case is a harness error, never a verdict."""
        try:
            fun(*a)
        except Exception as e:
            self.error = "%s: %s" % (type(e).__name__, e)
            self.dropConnection(abort=True)

    # events -> case
    def onOpen(self):
        self.connectionWasOpen = True
        if self.runCase:
            self.caseStart = time.time()
            self._guard(self.runCase.onOpen)

    def onMessage(self, payload, isBinary):
        if self.runCase:
            data = payload if hasattr(self.Case, "TESTDATA") else payload.decode("latin-1")
            self._guard(self.runCase.onMessage, data, isBinary)

    def onPong(self, payload):
        if self.runCase:
            self._guard(self.runCase.onPong, payload.decode("latin-1"))

    def onClose(self, wasClean, code, reason):
        if self.runCase:
            self._guard(self.runCase.onClose, wasClean, code, reason)

    def case_finished(self):
        if not self.runCase:
            return
        rc, self.runCase = self.runCase, None
        try:
            rc.onConnectionLost(self.failedByMe)
        except Exception as e:
            self.error = self.error or "%s: %s" % (type(e).__name__, e)
        res = {
            "behavior": rc.behavior,
            "behaviorClose": rc.behaviorClose,
            "result": rc.result,
            "resultClose": rc.resultClose + ("" if self.wasClean else " [%s]" % self.wasNotCleanReason),
            "remoteCloseCode": self.remoteCloseCode,
            "opened": self.connectionWasOpen,
            "duration_ms": int(1000 * (time.time() - self.caseStart)),
        }
        if not self.connectionWasOpen:
            res["behavior"] = "FAILED"
        if self.error:
            res["behavior"], res["error"] = "HARNESS-ERROR", self.error
        self.on_result(res)


class FuzzClientProtocol(FuzzMixin, WebSocketClientProtocol):
    def connectionMade(self):
        self.fuzz_init()
        WebSocketClientProtocol.connectionMade(self)

    def connectionLost(self, reason):
        WebSocketClientProtocol.connectionLost(self, reason)
        self.case_finished()


class FuzzClientFactory(WebSocketClientFactory):
    """One factory per case: connect, run, report."""

    def __init__(self, url, case_class, on_result, **kw):
        super().__init__(url, useragent="conformance-abts", **kw)
        self.logOctets, self.logFrames = False, True
        self.case_class, self.on_result = case_class, on_result
        self.setProtocolOptions(failByDrop=False, openHandshakeTimeout=10, **PATIENCE)

    def buildProtocol(self, addr):
        p = FuzzClientProtocol()
        p.factory = self
        p.Case, p.on_result = self.case_class, self.on_result
        p.runCase = self.case_class(p)
        return p

    def clientConnectionFailed(self, connector, reason):
        self.on_result(
            {
                "behavior": "FAILED",
                "behaviorClose": "FAILED",
                "opened": False,
                "result": "connect: " + reason.getErrorMessage(),
                "resultClose": "",
                "remoteCloseCode": None,
                "duration_ms": 0,
            }
        )


class FuzzServerProtocol(FuzzMixin, WebSocketServerProtocol):
    def connectionMade(self):
        self.fuzz_init()
        WebSocketServerProtocol.connectionMade(self)

    def onConnect(self, request):
        cid = request.params.get("casetuple", [""])[0]
        if cid in self.factory.cases:
            self.Case = self.factory.cases[cid]
            self.on_result = lambda res: self.factory.record(cid, res)
            self.runCase = self.Case(self)

    def connectionLost(self, reason):
        WebSocketServerProtocol.connectionLost(self, reason)
        self.case_finished()


class FuzzServerFactory(WebSocketServerFactory):
    protocol = FuzzServerProtocol

    def __init__(self, cases, record, **kw):
        super().__init__(server="conformance-abts", **kw)
        self.logOctets, self.logFrames = False, True
        self.cases, self.record = cases, record
        self.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=CLOSE_WAIT)
