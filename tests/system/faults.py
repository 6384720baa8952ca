# SPDX-License-Identifier: MIT
"""A disk that fails or dawdles when told to: preload_faults.c under a daemon."""
import errno
import mmap
import os
import struct

from lib import LODGED, Lodged, Skip, scratch

SHIM = os.path.join(os.path.dirname(LODGED), "system", "preload_faults.so")
_WRITES, _FAIL_WRITE, _SYNCS, _FAIL_SYNC, _SYNC_NS, _ERROR = range(6)


class Disk:
    """Hand .env to Lodged; what is set here takes effect at once."""

    def __init__(self, sync_ms=0):
        if not os.path.exists(SHIM):
            raise Skip(f"no {SHIM}: make programs")
        path = os.path.join(scratch(), "faults")
        with open(path, "w+b") as f:
            f.truncate(mmap.PAGESIZE)
            self._map = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        self.env = {"LD_PRELOAD": SHIM, "LODGE_FAULTS": path}
        self._put(_SYNC_NS, int(sync_ms * 1e6))
        self._put(_ERROR, errno.EIO)

    def _put(self, at, value):
        struct.pack_into("<Q", self._map, 8 * at, value)

    def _get(self, at):
        return struct.unpack_from("<Q", self._map, 8 * at)[0]

    def fail(self, what, n, error=errno.EIO):
        """The n-th write from now on fails, and all after it; or the n-th sync, that one alone:
        it is the next sync that must not be believed."""
        done, at = (_WRITES, _FAIL_WRITE) if what == "write" else (_SYNCS, _FAIL_SYNC)
        self._put(_ERROR, error)
        self._put(at, self._get(done) + n if n else 0)

    @property
    def syncs(self):
        return self._get(_SYNCS)

    def heal(self):
        self.fail("write", 0)
        self.fail("sync", 0)


def faulty(*flags, sync_ms=0, **more):
    """A daemon on such a disk: (daemon, disk)."""
    disk = Disk(sync_ms)
    return Lodged(*flags, env=disk.env, **more), disk
