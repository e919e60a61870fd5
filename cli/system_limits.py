"""Say which limit of the system a command met: open files, memory or processes."""

import errno
import re

_NOT_MAPPED = re.compile(r"failed to map segment", re.IGNORECASE)  # the loader of shared libraries says so
# What loaders and libraries say when memory is refused to them; they raise errors of any kind.
_NO_MEMORY = re.compile(
    r"failed to map segment|cannot allocate memory|can't allocate memory|not enough memory|out of memory|bad_alloc",
    re.IGNORECASE,
)


def limit_met(error: BaseException) -> str | None:
    """Return one line about the limit that caused an error and how to raise it; None if no limit did."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EMFILE, errno.ENFILE}:
        return f"too many open files: the limit is {_soft_limit('RLIMIT_NOFILE')}; raise it with ulimit -n 1024"
    memory = _soft_limit("RLIMIT_AS")
    is_limited = memory not in {"none", "unknown"}
    no_thread = number == errno.EAGAIN or "can't start new thread" in str(error)
    if no_thread and not is_limited:
        return f"no more processes may be started: the limit is {_soft_limit('RLIMIT_NPROC')} (ulimit -u)"
    if no_thread or isinstance(error, MemoryError) or number == errno.ENOMEM or _NO_MEMORY.search(str(error)):
        shown = f": this shell's limit is {memory} bytes (ulimit -v)" if is_limited else ""
        return f"not enough memory{shown}; free some, or raise the limit"
    return None


def limit_behind(error: BaseException) -> str | None:
    """Return the line about a limit that caused an expected error, such as a library that does not load; None if none.

    Only what the system itself says is taken for a limit. Other causes have better words in the error: a damaged file,
    for example, can ask a library for too much memory.
    """
    cause = error.__cause__
    while cause is not None:
        is_of_the_system = type(cause) is OSError and cause.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
        if is_of_the_system or isinstance(cause, ImportError) or _NOT_MAPPED.search(str(cause)):
            return limit_met(cause)
        cause = cause.__cause__
    return None


def _soft_limit(name: str) -> str:
    """Return the limit of this process in words."""
    try:
        import resource
    except ImportError:  # not on Windows
        return "unknown"
    soft, _ = resource.getrlimit(getattr(resource, name))
    return "none" if soft == resource.RLIM_INFINITY else str(soft)
