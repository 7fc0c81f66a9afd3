"""Shared part of the proxy adapters: command line, files, start, wait, stop.

An adapter is one executable file `proxies/NAME.py` that defines how to write a
configuration and which command to run, and calls `main()` here.  The contract
(what the suites rely on) is in ../README.md.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

EX_SKIP = 77


def hostport(s):
    h, _, p = s.rpartition(":")
    return h or "127.0.0.1", int(p)


def hostports(s):
    return [hostport(x) for x in s.split(",") if x]


def find(env, *candidates):
    for c in ([os.environ[env]] if os.environ.get(env) else []) + list(candidates):
        p = (
            c
            if os.path.isabs(c) and os.access(c, os.X_OK)
            else shutil.which(c, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        )
        if p:
            return p
    print("not installed: %s" % candidates[-1], file=sys.stderr)
    sys.exit(EX_SKIP)


def parser():
    ap = argparse.ArgumentParser()
    sub = ap.add_subparsers(dest="verb", required=True)
    st = sub.add_parser("start")
    st.add_argument("--workdir", required=True, help="an empty or reusable folder for config, pid, logs")
    st.add_argument("--http-port", type=int, help="L7 plain listener")
    st.add_argument("--tls-port", type=int, help="L7 TLS listener (needs --cert, --key)")
    st.add_argument("--ws-backend", type=hostports, default=[], help="host:port[,host:port] for /wsapp")
    st.add_argument("--chat-backend", type=hostports, default=[], help="the same for /chat")
    st.add_argument("--http-backend", type=hostports, default=[], help="the same for /api (HTTP reverse proxy)")
    st.add_argument("--static", help="folder served at /")
    st.add_argument("--cert")
    st.add_argument("--key")
    st.add_argument("--tcp-port", type=int, help="L4 plain listener")
    st.add_argument("--tcp-backend", type=hostports, default=[], help="its backends (round robin)")
    st.add_argument("--tcps-port", type=int, help="L4 listener that ends TLS, then plain TCP to --tcp-backend")
    st.add_argument("--wait", type=float, default=60)
    for v in ("stop", "status"):
        sub.add_parser(v).add_argument("--workdir", required=True)
    sub.add_parser("version")
    sub.add_parser("capabilities")
    return ap


def listening(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 0.3).close()
        return True
    except OSError:
        return False


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def stop_pid(pid, grace=5.0):
    """SIGTERM, then SIGKILL, the one process (group leader) we started."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    end = time.time() + grace
    while time.time() < end:
        try:
            done, _ = os.waitpid(pid, os.WNOHANG)
            if done:
                return
        except ChildProcessError:
            try:
                with open("/proc/%d/stat" % pid) as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return
            except OSError:
                return
        time.sleep(0.05)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main(name, configure, version, capabilities):
    """configure(args) -> (argv, env or None); the process must stay in the foreground."""
    a = parser().parse_args()
    if a.verb == "version":
        print(version())
        return
    if a.verb == "capabilities":
        print(json.dumps(sorted(capabilities)))
        return
    pidfile = os.path.join(a.workdir, "adapter.pid")
    if a.verb in ("stop", "status"):
        try:
            pid = int(open(pidfile).read())
        except OSError:
            sys.exit(0 if a.verb == "stop" else 1)
        if a.verb == "status":
            sys.exit(0 if os.path.exists("/proc/%d" % pid) else 1)
        stop_pid(pid)
        os.unlink(pidfile)
        return
    os.makedirs(a.workdir, exist_ok=True)
    argv, env = configure(a)
    with open(os.path.join(a.workdir, "stdout.log"), "ab") as out:
        p = subprocess.Popen(
            argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=a.workdir, env=env, start_new_session=True
        )
    write(pidfile, str(p.pid))
    ports = [x for x in (a.http_port, a.tls_port, a.tcp_port, a.tcps_port) if x]
    if "l4" not in capabilities:
        ports = [x for x in (a.http_port, a.tls_port) if x]
    end = time.time() + a.wait
    while not all(listening(x) for x in ports):
        if p.poll() is not None or time.time() > end:
            sys.stderr.write(open(os.path.join(a.workdir, "stdout.log")).read()[-3000:])
            print("%s did not start (exit %s)" % (name, p.poll()), file=sys.stderr)
            if p.poll() is None:
                stop_pid(p.pid)
            sys.exit(1)
        time.sleep(0.05)
    print(p.pid)
