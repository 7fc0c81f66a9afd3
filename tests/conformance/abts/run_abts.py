#!/usr/bin/env python3
"""Autobahn|Testsuite cases through a proxy.

  run_abts.py --direct                       the backend alone
  run_abts.py --proxy nginx [--tls] [--l4]   backend behind an adapter
  run_abts.py --url ws://127.0.0.1:9/wsapp   something already running
  run_abts.py --mode server --proxy nginx    fuzzing server behind the proxy, a client in front

Run with a Python that has autobahntestsuite, autobahn, twisted, pyopenssl, websockets.
"""

import argparse
import collections
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import harness
import pycases

PRESETS = {
    # 247 cases, about 10 s: everything but performance and compression
    "core": (["*"], ["9.*", "12.*", "13.*"]),
    # 337 cases: core + every 9.* + 16 B, 16 KiB and a fragmented 8 KiB of each 12.*/13.* group
    "default": (["*"], ["12.*", "13.*"]),
    # all 517; at --scale 0.1 (100 instead of 1000 messages per case) some 5 minutes
    "full": (["*"], []),
}
DEFAULT_DEFLATE = ("1", "7", "11")

# A case or two may suffer from a busy machine; more than that is a finding.
MOST_DOUBTS = 5


def preset(name, ids):
    inc, exc = PRESETS[name]
    chosen = pycases.select(ids, inc, exc)
    if name == "default":
        chosen += [c for c in pycases.select(ids, ["12.*", "13.*"], []) if c.split(".")[2] in DEFAULT_DEFLATE]
    return chosen


BACKENDS = {
    "websockets": lambda port: (
        [sys.executable, os.path.join(HERE, "..", "backends", "echo_websockets.py"), "--port", str(port)],
        None,
    ),
    "autobahn": lambda port: (
        [sys.executable, os.path.join(HERE, "..", "backends", "echo_autobahn.py"), "--port", str(port)],
        None,
    ),
    "ws": lambda port: (
        ["node", os.path.join(HERE, "..", "backends", "echo_ws.mjs"), "--port", str(port)],
        dict(os.environ, CONFORMANCE_NODE=os.environ.get("CONFORMANCE_NODE", ".")),
    ),
}


def scaled(klass, scale):
    """COUNT (messages per 9.7/9.8/12/13 case) scaled down; 1.0 leaves the suite's own number."""
    if scale != 1.0 and hasattr(klass, "COUNT"):
        return type(klass.__name__, (klass,), {"COUNT": max(1, int(klass.COUNT * scale))})
    return klass


def run_client(url, cases, on_done, verbose):
    from autobahn.twisted.websocket import connectWS
    from twisted.internet import reactor, ssl

    results = collections.OrderedDict()
    todo = list(cases.items())

    def nxt():
        if not todo:
            reactor.stop()
            return
        cid, klass = todo.pop(0)
        state = {"done": False}

        def result(res):
            if state["done"]:
                return
            state["done"] = True
            if guard.active():
                guard.cancel()
            results[cid] = res
            if verbose or res["behavior"] not in ("OK", "INFORMATIONAL"):
                print(
                    "  %-8s %-13s close=%-16s %6d ms  %s"
                    % (
                        cid,
                        res["behavior"],
                        res["behaviorClose"],
                        res["duration_ms"],
                        res.get("error") or res["result"],
                    ),
                    flush=True,
                )
            reactor.callLater(0, nxt)

        def overdue():
            connector.disconnect()
            result(
                {
                    "behavior": "FAILED",
                    "behaviorClose": "FAILED",
                    "opened": False,
                    "result": "harness guard: case did not end",
                    "resultClose": "",
                    "remoteCloseCode": None,
                    "duration_ms": 0,
                }
            )

        guard = reactor.callLater(getattr(klass, "WAITSECS", 100) + 40, overdue)
        from fuzzpeer import FuzzClientFactory

        f = FuzzClientFactory(url, klass, result)
        ctx = ssl.CertificateOptions() if url.startswith("wss:") else None
        connector = connectWS(f, contextFactory=_NoVerify() if ctx else None)

    class _NoVerify(ssl.ClientContextFactory):
        def getContext(self):
            from OpenSSL import SSL

            return SSL.Context(SSL.TLS_METHOD)

    reactor.callWhenRunning(nxt)
    reactor.run()
    on_done(results)


def run_server(url, port, cases, on_done, verbose, client):
    """Fuzzing server on `port` (behind the proxy); a client process works through `url`."""
    from fuzzpeer import FuzzServerFactory
    from twisted.internet import reactor, utils  # noqa: F401
    from twisted.internet.protocol import ProcessProtocol

    results = collections.OrderedDict()

    def record(cid, res):
        results[cid] = res
        if verbose or res["behavior"] not in ("OK", "INFORMATIONAL"):
            print(
                "  %-8s %-13s close=%-16s %6d ms  %s"
                % (cid, res["behavior"], res["behaviorClose"], res["duration_ms"], res.get("error") or res["result"]),
                flush=True,
            )

    reactor.listenTCP(port, FuzzServerFactory(cases, record), interface="127.0.0.1")
    f = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
    json.dump(list(cases), f)
    f.close()
    argv = client(url, f.name)

    class P(ProcessProtocol):
        def errReceived(self, data):
            sys.stderr.write(data.decode("utf-8", "replace"))

        def processEnded(self, reason):
            reactor.callLater(1.5, reactor.stop)

    reactor.callWhenRunning(lambda: reactor.spawnProcess(P(), argv[0], argv, env=os.environ))
    reactor.run()
    os.unlink(f.name)
    for cid in cases:
        results.setdefault(
            cid,
            {
                "behavior": "FAILED",
                "behaviorClose": "FAILED",
                "opened": False,
                "result": "the case never reached the server",
                "resultClose": "",
                "remoteCloseCode": None,
                "duration_ms": 0,
            },
        )
    on_done(results)


CLIENTS = {
    "autobahn": lambda url, f: [
        sys.executable,
        os.path.join(HERE, "..", "backends", "fuzz_client_autobahn.py"),
        "--url",
        url,
        "--cases",
        f,
    ],
    "websockets": lambda url, f: [
        sys.executable,
        os.path.join(HERE, "..", "backends", "fuzz_client_websockets.py"),
        "--url",
        url,
        "--cases",
        f,
    ],
    "ws": lambda url, f: [
        "/usr/bin/env",
        "CONFORMANCE_NODE=" + os.environ.get("CONFORMANCE_NODE", "."),
        "node",
        os.path.join(HERE, "..", "backends", "fuzz_client_ws.mjs"),
        "--url",
        url,
        "--cases",
        f,
    ],
}


def summary(results):
    b = collections.Counter(r["behavior"] for r in results.values())
    c = collections.Counter(r["behaviorClose"] for r in results.values())
    groups = collections.OrderedDict()
    for cid, r in results.items():
        groups.setdefault(cid.split(".")[0], collections.Counter())[r["behavior"]] += 1
    return {
        "cases": len(results),
        "pass": b["OK"],
        "non_strict": b["NON-STRICT"],
        "informational": b["INFORMATIONAL"],
        "unimplemented": b["UNIMPLEMENTED"],
        "fail": b["FAILED"],
        "harness_error": b["HARNESS-ERROR"],
        "close": dict(c),
        "groups": {k: dict(v) for k, v in groups.items()},
        "failed_cases": [k for k, r in results.items() if r["behavior"] in ("FAILED", "HARNESS-ERROR")],
        "unimplemented_cases": [k for k, r in results.items() if r["behavior"] == "UNIMPLEMENTED"],
        "non_strict_cases": [k for k, r in results.items() if r["behavior"] == "NON-STRICT"],
        "close_not_ok": {
            k: r["behaviorClose"] for k, r in results.items() if r["behaviorClose"] not in ("OK", "INFORMATIONAL")
        },
    }


def again(cases):
    """The verdict of a second run of these cases, in a process of its own (a reactor runs once)."""
    args = [x for x in sys.argv[1:] if x != "--strict"]
    print("again: %s" % ", ".join(cases), flush=True)
    with tempfile.TemporaryDirectory(prefix="abts-again-") as folder:
        out = os.path.join(folder, "out.json")
        done = subprocess.run([sys.executable, __file__, *args, "--cases", ",".join(cases), "--out", out, "-v"])
        if done.returncode:
            return done.returncode
        with open(out) as f:
            s = json.load(f)["summary"]
    return 1 if doubts(s) else 0


def doubts(s):
    """The cases whose verdict is not what the echo server reaches alone, in either mode and in every run."""
    return sorted(
        {*s["failed_cases"], *s["non_strict_cases"], *s["unimplemented_cases"], *s["close_not_ok"]}, key=pycases.id_key
    )


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--proxy", help="adapter name (proxies/NAME.py) or path")
    ap.add_argument("--direct", action="store_true")
    ap.add_argument("--url")
    ap.add_argument("--mode", choices=("client", "server"), default="client")
    ap.add_argument("--tls", action="store_true", help="through the proxy's TLS listener")
    ap.add_argument("--l4", action="store_true", help="through the proxy's L4 listener")
    ap.add_argument("--backend", choices=sorted(BACKENDS), default="autobahn")
    ap.add_argument("--client", choices=sorted(CLIENTS), default="autobahn")
    ap.add_argument("--preset", choices=sorted(PRESETS), default="default")
    ap.add_argument("--cases", help="patterns, e.g. 1.*,7.*; instead of a preset")
    ap.add_argument("--exclude", default="")
    ap.add_argument("--scale", type=float, default=1.0, help="scale the message count of 9.7/9.8/12/13")
    ap.add_argument("--path", default="/wsapp")
    ap.add_argument("--out", help="write results as JSON")
    ap.add_argument(
        "--strict", action="store_true", help="only what the echo server alone reaches is success; doubts are run again"
    )
    ap.add_argument("-v", "--verbose", action="store_true")
    a = ap.parse_args()

    allc = pycases.load_cases()
    ids = pycases.select(allc, a.cases.split(","), []) if a.cases else preset(a.preset, allc)
    if a.exclude:
        ids = [i for i in ids if i not in pycases.select(ids, a.exclude.split(","), [])]
    cases = collections.OrderedDict((i, scaled(allc[i], a.scale)) for i in ids)

    doubtful = []
    tmp = tempfile.mkdtemp(prefix="abts-")
    meta = {
        "suite": "autobahntestsuite " + pycases.package_version(),
        "mode": a.mode,
        "tls": a.tls,
        "l4": a.l4,
        "scale": a.scale,
        "load_before": harness.loadavg(),
    }
    code = 0
    try:
        with contextlib.ExitStack() as st:
            bport = harness.free_port()
            if a.mode == "client" and not a.url:
                argv, env = BACKENDS[a.backend](bport)
                st.enter_context(harness.process(argv, env))
                meta["backend"] = a.backend
            if a.mode == "server":
                meta["client"] = a.client
            if a.url:
                url, meta["target"] = a.url, a.url
            elif a.proxy:
                need = {"l4-tls" if a.tls else "l4"} if a.l4 else {"ws", "tls"} if a.tls else {"ws"}
                if not need <= harness.capabilities(a.proxy):
                    raise harness.Skip("%s has no %s" % (a.proxy, ", ".join(sorted(need))))
                meta["target"] = harness.adapter_version(a.proxy)
                cert, key = harness.make_cert(tmp)
                os.makedirs(os.path.join(tmp, "static"), exist_ok=True)
                port = harness.free_port()
                opt = {"cert": cert, "key": key, "static": os.path.join(tmp, "static")}
                if a.l4:
                    opt["tcp_backend"] = "127.0.0.1:%d" % bport
                    opt["tcps_port" if a.tls else "tcp_port"] = port
                else:
                    opt["ws_backend"] = "127.0.0.1:%d" % bport
                    opt["tls_port" if a.tls else "http_port"] = port
                st.enter_context(harness.proxy(a.proxy, workdir=os.path.join(tmp, "w"), **opt))
                url = "%s://127.0.0.1:%d%s" % ("wss" if a.tls else "ws", port, a.path)
            else:
                url, meta["target"] = "ws://127.0.0.1:%d%s" % (bport, a.path), "direct"
            print("%s  %s -> %s  %d cases" % (meta["suite"], meta["target"], url, len(cases)), flush=True)
            box = {}
            t0 = time.time()
            if a.mode == "client":
                run_client(url, cases, box.update, a.verbose)
            else:
                run_server(url, bport, cases, box.update, a.verbose, CLIENTS[a.client])
            meta["seconds"] = round(time.time() - t0, 1)
        s = summary(box)
        meta["load_after"] = harness.loadavg()
        print(
            json.dumps(
                {
                    k: s[k]
                    for k in (
                        "cases",
                        "pass",
                        "non_strict",
                        "informational",
                        "unimplemented",
                        "fail",
                        "harness_error",
                        "close",
                    )
                }
            ),
            "%.1f s" % meta["seconds"],
        )
        if a.out:

            def brief(r):
                row = [r["behavior"], r["behaviorClose"], r["duration_ms"]]
                plain = ("OK", "OK"), ("INFORMATIONAL", "INFORMATIONAL")
                return (
                    row
                    if tuple(row[:2]) in plain
                    else row + [r.get("error") or r["result"], r["resultClose"], r["remoteCloseCode"]]
                )

            with open(a.out, "w") as f:
                f.write('{"meta": %s,\n "summary": %s,\n "results": {\n' % (json.dumps(meta), json.dumps(s)))
                f.write(",\n".join('  "%s": %s' % (k, json.dumps(brief(r))) for k, r in box.items()))
                f.write("\n}}\n")
        code = 1 if s["fail"] or s["harness_error"] else 0
        doubtful = doubts(s)
    except harness.Skip as e:
        print("skipped:", e)
        code = harness.EX_SKIP
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    if a.strict and doubtful:
        code = 1 if len(doubtful) > MOST_DOUBTS else again(doubtful)
    sys.exit(code)


if __name__ == "__main__":
    main()
