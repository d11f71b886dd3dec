"""On which file systems a run may be written: where its lock reaches every machine that sees it.

A journal needs four things of its file system: what was flushed stays (`fsync` of files and
folders), a rename replaces a file at once, appending writes at the end, and a lock that one machine
holds keeps the others out. The first three fail with an error that ends the run safely. A lock that
means nothing fails silently, and two writers would mix two runs in one journal. So the file systems
where that is known are refused. Reading is not restricted anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Mount", "find_mount", "refusal"]

_MOUNTS: Final = Path("/proc/self/mounts")
_LOCAL_LOCKS: Final = {
    "nfs": frozenset({"nolock", "local_lock=all", "local_lock=flock"}),
    "nfs4": frozenset({"local_lock=all", "local_lock=flock"}),
    "lustre": frozenset({"localflock", "noflock"}),
    "cifs": frozenset({"nobrl"}),
    "smb3": frozenset({"nobrl"}),
}
"""Kind of network file system to the options with which a lock stays on its machine."""
_WITHOUT_LOCKS: Final = frozenset(
    f"fuse.{name}"
    for name in (
        *("sshfs", "s3fs", "gcsfuse", "rclone", "goofys", "mountpoint-s3"),
        *("blobfuse", "blobfuse2", "curlftpfs"),
    )
)
"""Kinds whose locks stay on their machine."""
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A file system where it is mounted."""

    place: str
    kind: str
    options: frozenset[str]


def refusal(directory: Path, mounts: str | None = None) -> str | None:
    """Return why a run cannot be written in a directory, with the way out; None where it can.

    Args:
        directory: It need not exist yet.
        mounts: The kernel's table of mounts, read from it unless given. Where there is none, as
            outside of Linux, nothing is refused.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    mount = find_mount(os.path.realpath(directory), mounts.splitlines())
    if mount is None:
        return None
    local = _LOCAL_LOCKS.get(mount.kind, frozenset()) & mount.options
    if local:
        reason = f"mounted with {min(local)}"
    elif mount.kind in _WITHOUT_LOCKS:
        reason = "whose locks other machines do not see"
    elif mount.kind == "lustre" and "flock" not in mount.options:
        reason = "mounted without flock"
    else:
        return None
    return (
        f"{directory} is on a file system of kind {mount.kind}, {reason}: two machines could write "
        "to one run and mix up its journal. Write the run to a local disk, or to NFS with locks, "
        "and copy it when it is done; reading works everywhere."
    )


def find_mount(path: str, lines: Iterable[str]) -> Mount | None:
    """Return the mount that a path is on; of several in one place the last counts."""
    found: Mount | None = None
    for line in lines:
        words = line.split(" ")
        if len(words) < 4:
            continue
        place = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), words[1])
        under = path == place or path.startswith(place.rstrip("/") + "/")
        if under and (found is None or len(place) >= len(found.place)):
            found = Mount(place, words[2], frozenset(words[3].split(",")))
    return found
