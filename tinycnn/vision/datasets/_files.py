"""Where the data sets' files lie, and how they get there: folders, downloads, checksums."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16
_TIMEOUT = 30  # seconds without a byte until a mirror is given up


def root_folder(root: str | os.PathLike[str] | None, dataset: str) -> Path:
    """The folder `root`, or the one in the environment variable TINYCNN_DATA.

    Raises:
        ValueError: if neither is given.
    """
    if root is None:
        root = os.environ.get("TINYCNN_DATA") or None
    if root is None:
        raise ValueError(f"{dataset}: give root=, the folder of the data, or set the environment variable TINYCNN_DATA")
    return Path(root).expanduser()


def md5_of(path: Path) -> str:
    """The MD5 checksum of a file. The publishers give MD5; it guards against damage, not against forgery."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_md5(path: Path, expected: str) -> None:
    """Refuse a file whose checksum is not `expected`.

    Raises:
        RuntimeError: naming the file, both checksums and its size.
    """
    found = md5_of(path)
    if found != expected:
        raise RuntimeError(
            f"{path}: the md5 checksum must be {expected}, but it is {found} ({path.stat().st_size} bytes); "
            "the file is damaged or another version: delete it, and download it again"
        )


def download(name: str, mirrors: Sequence[str], md5: str, folder: Path) -> Path:
    """Fetch the file `name` into `folder` from the first of `mirrors` that has it whole, with a progress bar.

    It is written under a temporary name and renamed once its checksum is right, so a file that bears its name is whole.

    Args:
        mirrors: URLs to which `name` is appended.
        md5: the expected checksum.

    Raises:
        RuntimeError: if every mirror failed; lists what went wrong with each and says where to put the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    failures = []
    for mirror in mirrors:
        url = mirror + name
        handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                found, size = _fetch(url, file, name)
            if found == md5:
                os.chmod(part, 0o644)
                os.replace(part, target)
                return target
            failures.append(f"{url}: the md5 checksum must be {md5}, but it is {found} ({size} bytes)")
        except (OSError, ValueError) as error:  # urllib's errors are OSErrors; a malformed URL is a ValueError
            failures.append(f"{url}: {type(error).__name__}: {error}")
        finally:
            if os.path.exists(part):
                os.unlink(part)
    tried = "\n".join(f"  {failure}" for failure in failures)
    raise RuntimeError(
        f"{name} could not be downloaded. Tried:\n{tried}\n"
        f"Get the file with md5 checksum {md5} by other means, and put it into {folder}"
    )


def _fetch(url: str, file: Any, name: str) -> tuple[str, int]:
    """Copy what `url` gives into `file`; returns its md5 and its size."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    from tqdm import tqdm

    digest, size = hashlib.md5(usedforsecurity=False), 0
    request = Request(url, headers={"User-Agent": "tinycnn"})
    try:
        with urlopen(request, timeout=_TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdecimal() else None
            # disable=None: no bar where the output is not a terminal
            with tqdm(total=total, desc=name, unit="B", unit_scale=True, disable=None) as bar:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    bar.update(len(chunk))
    except HTTPException as error:  # a connection that broke off
        raise OSError(f"{type(error).__name__}: {error}") from error
    if total is not None and size != total:
        raise OSError(f"the connection ended after {size} of {total} bytes")
    return digest.hexdigest(), size


def extract_members(archive: Path, members: Sequence[tuple[str, str]], folder: Path) -> None:
    """Copy regular files out of a tar archive into `folder`, by their names only.

    Args:
        members: (path in the archive, md5) of each file; it becomes ``folder / (last part of the path)``.

    Raises:
        RuntimeError: if the archive is damaged, lacks one of them, or a checksum is wrong.
    """
    import tarfile
    import zlib

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            for path, md5 in members:
                member = tar.getmember(path)
                source = tar.extractfile(member) if member.isreg() else None
                if source is None:
                    raise RuntimeError(f"{archive}: {path} must be a regular file in the archive")
                handle, part = tempfile.mkstemp(prefix=f".{Path(path).name}.", suffix=".part", dir=folder)
                try:
                    with os.fdopen(handle, "wb") as file:
                        shutil.copyfileobj(source, file)
                    found = md5_of(Path(part))
                    if found != md5:
                        raise RuntimeError(f"{archive}: the md5 checksum of {path} must be {md5}, but it is {found}")
                    os.chmod(part, 0o644)
                    os.replace(part, folder / Path(path).name)
                finally:
                    if os.path.exists(part):
                        os.unlink(part)
    except KeyError as error:
        raise RuntimeError(f"{archive}: the archive must contain {', '.join(p for p, _ in members)}: {error}") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise RuntimeError(f"{archive}: the archive cannot be unpacked: {error}") from error
