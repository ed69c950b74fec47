"""Downloads from mirrors on this machine: which are tried, what is refused, what is left behind."""

import hashlib
import http.server
import io
import tarfile
import threading

import pytest

from tinycnn.vision.datasets._files import check_md5, download, extract_members, md5_of, root_folder

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        kind = self.path.split("/")[1]
        if kind == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if kind != "unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"short": CONTENT[:70000], "wrong": CONTENT[::-1]}.get(kind, CONTENT)
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["good", "unsized"])
def test_download(tmp_path, server, kind):
    path = download("file.gz", [server.url + kind + "/"], MD5, tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "file.gz" and path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.gz"]
    assert server.asked == [f"/{kind}/file.gz"]


def test_mirrors_are_tried_in_turn(tmp_path, server):
    mirrors = [server.url + kind + "/" for kind in ("missing", "short", "wrong", "good", "never")]
    assert download("f", mirrors, MD5, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["/missing/f", "/short/f", "/wrong/f", "/good/f"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_all_failures_are_listed_and_nothing_is_left(tmp_path, server):
    mirrors = [server.url + kind + "/" for kind in ("missing", "short", "wrong")]
    mirrors += ["http://127.0.0.1:1/", (tmp_path / "nowhere").as_uri() + "/", "nonsense"]
    with pytest.raises(RuntimeError) as caught:
        download("f.gz", mirrors, MD5, tmp_path / "root")
    text = str(caught.value)
    lines = text.splitlines()
    assert len(lines) == 2 + len(mirrors)
    reasons = ["404", "70000 of 256000", "md5 checksum must be", "refused", "No such file", "unknown url"]
    for line, part in zip(lines[1:-1], reasons, strict=True):
        assert part in line
    assert MD5 in lines[-1] and str(tmp_path / "root") in lines[-1] and "by other means" in lines[-1]
    assert list((tmp_path / "root").iterdir()) == []


def test_a_failed_download_keeps_the_old_file(tmp_path, server):
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(RuntimeError):
        download("f", [server.url + "wrong/"], MD5, tmp_path)
    assert (tmp_path / "f").read_bytes() == b"old"


def test_checksums(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(CONTENT)
    assert md5_of(path) == MD5
    check_md5(path, MD5)
    with pytest.raises(RuntimeError, match=rf"f: the md5 checksum must be 00, but it is {MD5} \(256000 bytes\)"):
        check_md5(path, "00")


def test_root_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    assert root_folder(str(tmp_path), "X") == tmp_path
    with pytest.raises(ValueError, match="X: give root="):
        root_folder(None, "X")
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    assert root_folder(None, "X") == tmp_path


def tar(path, members, kind="w:gz"):
    with tarfile.open(path, kind) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def test_extract_members(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", [("top/one", CONTENT), ("../outside", b"x"), ("top/two", b"2")])
    extract_members(archive, [("top/one", MD5)], tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["one"] and not (tmp_path / "outside").exists()
    assert (tmp_path / "out/one").read_bytes() == CONTENT


def test_extract_members_refuses(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", [("top/one", CONTENT), ("top/link", None)])
    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="the md5 checksum of top/one must be 00"):
        extract_members(archive, [("top/one", "00")], out)
    with pytest.raises(RuntimeError, match="must contain top/three"):
        extract_members(archive, [("top/three", MD5)], out)
    with pytest.raises(RuntimeError, match="top/link must be a regular file"):
        extract_members(archive, [("top/link", MD5)], out)
    whole = archive.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        archive.write_bytes(damaged)
        with pytest.raises(RuntimeError, match=r"a\.tar\.gz: the archive"):
            extract_members(archive, [("top/one", MD5)], out)
    assert list(out.iterdir()) == []
