"""Helpers shared by the suites: ports, certificate, backends, adapters. Loopback only."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EX_SKIP = 77


class Skip(Exception):
    pass


_given = set()


def free_port():
    """A free loopback port below the ephemeral range, not handed out before here."""
    base = 20000 + (os.getpid() * 37) % 9000
    for n in range(4000):
        p = 20000 + (base - 20000 + n) % 12000
        if p in _given:
            continue
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", p))
        except OSError:
            continue
        finally:
            s.close()
        _given.add(p)
        return p
    raise RuntimeError("no free port")


def make_cert(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    if not os.path.exists(cert):
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                key,
                "-out",
                cert,
                "-days",
                "30",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return cert, key


def adapter_path(name):
    p = name if os.sep in name else os.path.join(HERE, "proxies", name + ".py")
    if not os.path.exists(p):
        raise SystemExit("no adapter %s" % p)
    return p


def adapter_version(name):
    r = subprocess.run([sys.executable, adapter_path(name), "version"], capture_output=True, text=True)
    if r.returncode == EX_SKIP:
        raise Skip(r.stderr.strip())
    return r.stdout.strip()


def capabilities(name):
    r = subprocess.run([sys.executable, adapter_path(name), "capabilities"], capture_output=True, text=True)
    return set(json.loads(r.stdout or "[]"))


@contextlib.contextmanager
def proxy(name, workdir=None, **opts):
    """Run an adapter; opts are its long options with '_' for '-'. Yields the pid."""
    w = workdir or tempfile.mkdtemp(prefix="conformance-%s-" % os.path.basename(name))
    cmd = [sys.executable, adapter_path(name), "start", "--workdir", w]
    for k, v in opts.items():
        if v is not None:
            cmd += ["--" + k.replace("_", "-"), str(v)]
    r = subprocess.run(cmd, capture_output=True, text=True)
    if r.returncode == EX_SKIP:
        raise Skip(r.stderr.strip())
    if r.returncode:
        raise RuntimeError("adapter %s: %s" % (name, r.stderr))
    try:
        yield int(r.stdout.split()[0])
    finally:
        subprocess.run([sys.executable, adapter_path(name), "stop", "--workdir", w])
        if not workdir:
            shutil.rmtree(w, ignore_errors=True)


@contextlib.contextmanager
def process(argv, env=None, ready="ready", timeout=60, log=None):
    """Run a helper process that prints a line `ready`; terminate it by pid afterwards."""
    p = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL, text=True, env=env, start_new_session=True
    )
    try:
        end = time.time() + timeout
        line = p.stdout.readline()
        while ready not in line:
            if p.poll() is not None or time.time() > end:
                raise RuntimeError("%r did not start (exit %s)" % (argv, p.poll()))
            line = p.stdout.readline()
        yield p
    finally:
        p.terminate()
        try:
            p.wait(5)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def loadavg():
    return os.getloadavg()[0]
