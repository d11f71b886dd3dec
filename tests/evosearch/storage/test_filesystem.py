"""Runs are written where a lock reaches every machine, and refused elsewhere with the reason."""

from pathlib import Path

import pytest

from evosearch.errors import RunError
from evosearch.storage import filesystem
from evosearch.storage.filesystem import find_mount, refusal
from evosearch.storage.journal import Journal, read

TABLE = r"""
/dev/vda / ext4 rw,relatime 0 0
tmpfs /scratch tmpfs rw 0 0
server:/home /home nfs4 rw,vers=4.2,hard,local_lock=none 0 0
server:/old /old nfs rw,vers=3,nolock,local_lock=all 0 0
server:/three /three nfs rw,vers=3,hard,local_lock=none 0 0
server:/four /four nfs4 rw,vers=4.2,local_lock=flock 0 0
//server/share /share cifs rw,vers=3.1.1 0 0
//server/bare /bare cifs rw,nobrl 0 0
me@server: /remote fuse.sshfs rw,user_id=0 0 0
data /lustre lustre rw,flock 0 0
data /lustre/local lustre rw,localflock 0 0
data /lustre/none lustre rw 0 0
gluster /gluster fuse.glusterfs rw 0 0
server:/x /with\040space nfs rw,nolock 0 0
tmpfs /old/over tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/runs/a", None),
        ("/scratch/a", None),
        ("/home/me/a", None),
        ("/homely/a", None),
        ("/three", None),
        ("/lustre/a", None),
        ("/old/over/a", None),
        ("/old/a", "kind nfs, mounted with local_lock=all"),
        ("/four/a", "kind nfs4, mounted with local_lock=flock"),
        ("/share/a", None),
        ("/gluster/a", None),
        ("/bare/a", "kind cifs, mounted with nobrl"),
        ("/remote/a", "kind fuse.sshfs, whose locks other machines do not see"),
        ("/lustre/local/a", "kind lustre, mounted with localflock"),
        ("/lustre/none/a", "kind lustre, mounted without flock"),
        ("/with space/a", "kind nfs, mounted with nolock"),
    ],
)
def test_a_lock_must_reach_every_machine(place, reason):
    found = refusal(Path(place), TABLE)
    assert (found is None) == (reason is None)
    assert reason is None or (reason in found and "Write the run to a local disk" in found)


def test_the_innermost_mount_counts_and_the_last_of_one_place():
    lines = TABLE.splitlines()
    found = find_mount("/old/over", lines)
    assert found is not None
    assert found.kind == "tmpfs"
    again = find_mount("/old/over/a", [*lines, "x /old/over nfs rw 0 0"])
    assert again is not None
    assert again.kind == "nfs"
    assert find_mount("/a", []) is None


def test_writers_are_refused_and_readers_are_not(tmp_path, monkeypatch):
    run = tmp_path / "run"
    Journal.create(run, {"config": {}, "seeds": {}}).close()
    table = tmp_path / "mounts"
    table.write_text(f"server:/x {tmp_path} nfs rw,nolock 0 0\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", table)
    with pytest.raises(RunError, match=r"mounted with nolock.*two machines"):
        Journal.open(run)
    with pytest.raises(RunError, match="mounted with nolock"):
        Journal.create(tmp_path / "other", {"config": {}, "seeds": {}})
    assert not (tmp_path / "other").exists()
    assert [record.kind for record in read(run)] == ["manifest"]


def test_without_a_table_of_mounts_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "none")
    assert refusal(tmp_path) is None
