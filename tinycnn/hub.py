"""Files of weights from the net (``torch.hub``). Code is not fetched: `load` of a repository is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from .serialization import load as load_file

__all__ = ["download_url_to_file", "get_dir", "load", "load_state_dict_from_url", "set_dir"]

_TIMEOUT = 30  # seconds without a byte
_dir: str | None = None


def get_dir() -> str:
    """The folder of what was fetched: that of `set_dir`, else TINYCNN_HOME/hub, else ~/.cache/tinycnn/hub."""
    home = os.environ.get("TINYCNN_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "tinycnn")
    return _dir or os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Let `get_dir` be `d`."""
    global _dir
    _dir = os.path.expanduser(os.fspath(d))


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Fetch `url` into the file `dst`, whole or not at all.

    Args:
        hash_prefix: how the content's SHA-256 must begin, in hexadecimal.
        progress: show a bar, where the output is a terminal.

    Raises:
        RuntimeError: if the connection breaks off or the checksum is wrong.
    """
    import hashlib  # here, and not at the top, so that `import tinycnn` stays quick
    import tempfile
    from urllib.request import Request, urlopen

    from tqdm import tqdm

    target = Path(dst).expanduser()
    digest, size = hashlib.sha256(), 0
    handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            with urlopen(Request(url, headers={"User-Agent": "tinycnn"}), timeout=_TIMEOUT) as response:
                length = response.headers.get("Content-Length")
                total = int(length) if length and length.isdecimal() else None
                with tqdm(total=total, unit="B", unit_scale=True, disable=None if progress else True) as bar:
                    while chunk := response.read(1 << 16):
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                        bar.update(len(chunk))
        if total is not None and size != total:
            raise RuntimeError(f"{url}: the connection ended after {size} of {total} bytes")
        if hash_prefix and not digest.hexdigest().startswith(hash_prefix):
            found = digest.hexdigest()[: len(hash_prefix)]
            raise RuntimeError(f"{url}: the SHA-256 checksum must begin with {hash_prefix}, but it begins with {found}")
        os.chmod(part, 0o644)
        os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool | None = None,
) -> Any:
    """`tinycnn.load` of the file at `url`, which is fetched once and kept.

    Args:
        model_dir: where it is kept; ``get_dir()/checkpoints`` if None.
        map_location: see `tinycnn.load`.
        progress: show a bar.
        check_hash: the name must end in ``-<first digits of the SHA-256>.<ending>``, and the content must fit.
        file_name: the kept file's name; the URL's if None.
        weights_only: accepted; every file is read in the same safe way.
    """
    from urllib.parse import urlsplit

    folder = Path(model_dir) if model_dir is not None else Path(get_dir()) / "checkpoints"
    name = file_name or os.path.basename(urlsplit(url).path)
    if not name or os.path.basename(name) != name:
        raise ValueError(f"load_state_dict_from_url: {url!r} has no file's name; give file_name")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if not path.is_file():
        found = re.search(r"-([a-f0-9]+)\.", name) if check_hash else None
        if check_hash and found is None:
            raise ValueError(f"load_state_dict_from_url: check_hash=True needs digits in the name, got {name!r}")
        download_url_to_file(url, str(path), found.group(1) if found else None, progress)
    return load_file(path, map_location)


def load(repo_or_dir: str, model: str, *args: Any, **kwargs: Any) -> Any:
    """Always refused: it would run the code of a repository.

    Raises:
        RuntimeError: says what to do instead.
    """
    raise RuntimeError(
        f"hub.load({repo_or_dir!r}, {model!r}) would run code from the net; copy the model's file, change its imports "
        "to tinycnn, and load its weights by hub.load_state_dict_from_url"
    )
