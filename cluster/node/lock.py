"""A lock of the kernel on an open file, and file systems that have none. Stdlib only."""

import errno
import fcntl

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def acquire(descriptor: int, *, wait: bool) -> bool:
    """Lock the file alone; return whether its file system has locks: NFS and others may not.

    The lock ends with this process, however that ends.

    Raises:
        BlockingIOError: if another process holds it, and this one does not `wait`.
        OSError: if that fails in another way.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
