"""Load the *case classes* of the PyPI package ``autobahntestsuite`` under Python 3.

The package (25.10.1) is Python 2 source.  Nothing of it is copied or edited:
its ``case/*.py`` files are read from site-packages and executed in a small
Python-2-like namespace, where a ``str`` is a byte string written as latin-1
text.  The fuzzing peer (fuzzpeer.py) translates between that and real bytes
at the protocol boundary.

What the compatibility layer does (the complete list):
  * source is decoded as latin-1, so that both ``"\\xce"`` escapes and raw
    UTF-8 literals become one character per byte, as Python 2 had them;
  * implicit relative imports (``from case1_1_1 import *``) are resolved here;
  * ``print x`` statements are blanked, ``/`` becomes ``//`` (ints only there);
  * ``xrange``/``unichr``, ``binascii``, ``pkg_resources`` and Autobahn's
    ``Utf8Validator`` get stand-ins that take latin-1 text;
  * class bases ``(object, Case)`` become ``(Case,)`` (no MRO in Python 3);
  * camelCase permessage-deflate parameters get Autobahn's present names;
  * ``Case.compare`` compares values instead of pickles;
  * ``case9_9_1`` (not in the suite's own Cases list) is skipped.
"""

import ast
import binascii as _binascii
import builtins
import importlib.util
import os
import re
import types

from autobahn.websocket.utf8validator import Utf8Validator as _Utf8Validator


def package_dir():
    spec = importlib.util.find_spec("autobahntestsuite")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("autobahntestsuite is not installed in this Python (pip install autobahntestsuite)")
    return list(spec.submodule_search_locations)[0]


def package_version():
    from importlib.metadata import version

    return version("autobahntestsuite")


def to_bytes(s):
    return s.encode("latin-1") if isinstance(s, str) else s


class _Binascii:
    @staticmethod
    def b2a_hex(s):
        return _binascii.b2a_hex(to_bytes(s)).decode("ascii")

    hexlify = b2a_hex


class _Validator:
    def __init__(self):
        self._v = _Utf8Validator()

    def reset(self):
        self._v.reset()

    def validate(self, s):
        return self._v.validate(to_bytes(s))


class _PkgResources:
    @staticmethod
    def resource_filename(_package, name):
        return os.path.join(package_dir(), name)


RENAMED = {  # Autobahn 0.10 -> today
    "requestNoContextTakeover": "request_no_context_takeover",
    "requestMaxWindowBits": "request_max_window_bits",
    "acceptNoContextTakeover": "accept_no_context_takeover",
    "acceptMaxWindowBits": "accept_max_window_bits",
}


class _Rewrite(ast.NodeTransformer):
    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            node.op = ast.FloorDiv()
        return node

    def visit_keyword(self, node):
        self.generic_visit(node)
        node.arg = RENAMED.get(node.arg, node.arg)
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        node.attr = RENAMED.get(node.attr, node.attr)
        return node


class Loader:
    SKIP = {"case9_9_1"}

    def __init__(self):
        self.dir = os.path.join(package_dir(), "case")
        self.names = {f[:-3] for f in os.listdir(self.dir) if f.endswith(".py") and f != "__init__.py"}
        self.modules = {}
        u8 = types.ModuleType("utf8validator")
        u8.Utf8Validator = _Validator
        self.special = {"binascii": _Binascii, "pkg_resources": _PkgResources, "autobahn.websocket.utf8validator": u8}
        self.builtins = dict(vars(builtins))
        self.builtins.update(xrange=range, unichr=chr, __import__=self._import)

    def _import(self, name, globals=None, locals=None, fromlist=(), level=0):
        if level == 0 and name in self.names:
            return self._load(name)
        if level == 0 and name in self.special:
            return self.special[name]
        return builtins.__import__(name, globals, locals, fromlist, level)

    def _load(self, name):
        if name in self.modules:
            return self.modules[name]
        mod = types.ModuleType(name)
        self.modules[name] = mod
        if name not in self.SKIP:
            self._exec(mod, os.path.join(self.dir, name + ".py"))
        if name == "case":
            mod.Case.compare = lambda self, a, b: a == b
        return mod

    def _exec(self, mod, path):
        with open(path, "rb") as f:
            src = f.read().decode("latin-1")
        src = re.sub(r"(?m)^#.*coding[:=].*$", "#", src)
        src = re.sub(r"(?m)^(\s*)print\b(?!\().*$", r"\1pass", src)
        src = re.sub(r"\(object,\s*Case,\s*\)", "(Case,)", src)
        tree = _Rewrite().visit(ast.parse(src, path))
        ast.fix_missing_locations(tree)
        mod.__dict__["__builtins__"] = self.builtins
        exec(compile(tree, path, "exec"), mod.__dict__)

    def load_all(self):
        pkg = types.ModuleType("case_package")
        self._exec(pkg, os.path.join(self.dir, "__init__.py"))
        return pkg


def case_id(klass):
    return ".".join(klass.__name__[len("Case") :].split("_"))


def id_key(cid):
    return tuple(int(x) for x in cid.split("."))


def load_cases():
    """-> ordered dict  '1.1.1' -> case class, exactly the suite's own list."""
    pkg = Loader().load_all()
    return {case_id(c): c for c in pkg.Cases}


def select(ids, include, exclude):
    def match(pats, cid):
        for p in pats:
            rx = "^" + re.escape(p).replace(r"\*", ".*") + "$"
            if re.match(rx, cid):
                return True
        return False

    return [c for c in sorted(ids, key=id_key) if match(include, c) and not match(exclude, c)]


if __name__ == "__main__":
    cs = load_cases()
    from collections import Counter

    print(package_version(), len(cs), dict(Counter(c.split(".")[0] for c in cs)))
