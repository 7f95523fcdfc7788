"""What isolates an untrusted program, outside its process? Bubblewrap or Linux namespaces.

Bubblewrap (`bwrap`) where it is there and may be used, else namespaces of our own (`unshare`):
users, mounts, processes, network and messages of its own, no capabilities, no /proc, a root that
holds Python and its libraries and cannot be written, and one folder in memory of bounded size (with
`unshare` of a bounded number of files, too). Whether a wall stands is tried out, never assumed: it
has to let an honest program write its folder, and to hide and hold the rest.

Without either there is no wall, and nothing is run, unless the environment variable
ALIGNWRIGHT_RUN_WITHOUT_WALL is 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WITHOUT = "ALIGNWRIGHT_RUN_WITHOUT_WALL"
SIZE = 8 << 20
FILES = 512
PYTHON = os.path.realpath(sys.executable)


class NoWall(RuntimeError):
    """Nothing would stand around the program."""

    def __init__(self) -> None:
        why = "programs that a model wrote are run only inside a wall, and here neither bwrap nor unshare can make one"
        advice = (
            f"install bubblewrap and allow user namespaces, or set {WITHOUT}=1 where the whole run stands in a"
            " container of its own"
        )
        super().__init__(f"{why}; {advice}")


@dataclass(frozen=True)
class Wall:
    """A way of starting a program. `command` gets an empty folder that nothing else uses, and
    gives the words to put before the program's."""

    name: str
    command: Callable[[Path], tuple[str, ...]]


@cache
def wall() -> Wall | None:
    """The wall of this machine, None where there is none."""
    return next((barrier for barrier in (_BWRAP, _NAMESPACES) if stands(barrier)), None)


def require_wall() -> Wall | None:
    """The wall that a program is run in. Raises NoWall where there is none and nobody has said
    that it may be run so."""
    barrier = wall()
    if barrier is None and os.environ.get(WITHOUT) != "1":
        raise NoWall
    return barrier


def stands(barrier: Wall) -> bool:
    """Does the wall hold, as far as harmless probes can tell?"""
    tool = "bwrap" if barrier is _BWRAP else "unshare"
    if not sys.platform.startswith("linux") or shutil.which(tool) is None:
        return False
    # 1. A file outside the folder that the wall is to show: the probe must not see it.
    with tempfile.TemporaryDirectory(prefix="alignwright-", ignore_cleanup_errors=True) as place:
        (Path(place) / "outside").touch()
        root = Path(place) / "root"
        root.mkdir()
        command = [
            *barrier.command(root),
            PYTHON,
            "-I",
            "-S",
            "-c",
            _PROBE,
            os.path.realpath(place),
            os.path.dirname(os.__file__),
        ]
        # 2. The probe tries to read, write and climb out; only a clean exit says that it could do none of them.
        try:
            probe = subprocess.run(command, capture_output=True, check=False, timeout=20, env={})  # noqa: S603 - fixed words
        except (OSError, subprocess.TimeoutExpired):
            return False
    return probe.returncode == 0


def _libraries() -> tuple[str, ...]:
    """The folders and files that Python needs, none inside another."""
    folders = [Path(os.path.realpath(name)) for name in ("/usr", sys.base_prefix)]
    top = [path for path in folders if path.is_dir() and not any(other in path.parents for other in folders)]
    return tuple(dict.fromkeys(str(path) for path in top))


def _tool(name: str) -> str:
    """The program on this process's path; what is started has no environment to look it up by."""
    return shutil.which(name) or name


def _bwrap(_: Path) -> tuple[str, ...]:
    bound = [word for place in _libraries() for word in ("--ro-bind", place, place)]
    linked = [word for name in ("lib", "lib64", "lib32", "bin") for word in _same(f"/{name}")]
    own = ("--dev", "/dev", "--remount-ro", "/dev", "--size", str(SIZE), "--tmpfs", "/work", "--remount-ro", "/")
    away = ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv")
    return (
        _tool("bwrap"),
        *away,
        *bound,
        *linked,
        "--ro-bind-try",
        "/etc/ld.so.cache",
        "/etc/ld.so.cache",
        *own,
        "--chdir",
        "/work",
        "--",
    )


def _same(place: str) -> tuple[str, ...]:
    """A folder of the root as it is here: a link into /usr, or a folder of its own."""
    if os.path.islink(place):
        return ("--symlink", os.readlink(place), place)
    return ("--ro-bind", place, place) if os.path.isdir(place) else ()


def _namespaces(root: Path) -> tuple[str, ...]:
    apart = ("--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child")
    linked = [f"{os.readlink(name)}:{name}" for name in ("/lib", "/lib64", "/lib32", "/bin") if os.path.islink(name)]
    real = [name for name in ("/lib", "/lib64", "/lib32", "/bin") if os.path.isdir(name) and not os.path.islink(name)]
    places = " ".join([*_libraries(), *real])
    return (
        _tool("unshare"),
        *apart,
        "--",
        "/bin/sh",
        "-ec",
        _SCRIPT,
        "wall",
        str(root),
        str(SIZE),
        str(FILES),
        places,
        " ".join(linked),
    )


_BWRAP = Wall("bwrap", _bwrap)
_NAMESPACES = Wall("namespaces", _namespaces)
_SCRIPT = """
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 size=$2 files=$3 places=$4 links=$5
shift 5
mount --make-rprivate /
mount -t tmpfs -o size=64k,nr_inodes=256,mode=755,nosuid,nodev tmpfs "$root"
for place in $places; do
  mkdir -p "$root$place"
  mount --bind "$place" "$root$place"
  mount -o remount,bind,ro,nosuid,nodev "$root$place"
done
for link in $links; do ln -s "${link%%:*}" "$root${link##*:}"; done
mkdir "$root/work" "$root/proc" "$root/dev" "$root/etc" "$root/before"
if test -f /etc/ld.so.cache; then cp /etc/ld.so.cache "$root/etc/" 2>/dev/null || rm -f "$root/etc/ld.so.cache"; fi
for device in null zero urandom; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o "size=$size,nr_inodes=$files,mode=700,nosuid,nodev" tmpfs "$root/work"
mount -o remount,ro,nosuid,nodev "$root"
cd "$root"
pivot_root . before
cd /work
umount -l /before
umount -l /proc
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
"""
_PROBE = """
import os, sys
outside, library = sys.argv[1:]
open("own", "w").close()
assert not os.path.exists(outside)
for place in ("/x", "/dev/x", library + "/x"):
    try:
        open(place, "w").close()
    except OSError:
        continue
    sys.exit(1)
assert os.getpid() < 5 and not os.path.exists("/proc/self")
try:
    os.chroot("/work")
except OSError:
    sys.exit(0)
sys.exit(1)
"""
