"""Confine a child process that runs code on untrusted bytes, such as a decoder of pictures.

On Linux, Landlock limits the files that it can read (kernel 5.13) and the processes that it can
signal (6.12); a seccomp filter denies sockets, programs and other processes' memory, on x86-64 and
ARM64. A kernel without one of them runs the process without it. Memory is bounded everywhere.

Sources: linux/landlock.h, linux/seccomp.h, linux/filter.h, and the kernel's tables of system calls.
"""

import ctypes
import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_SET_NO_NEW_PRIVILEGES: Final = 38
_SET_SECCOMP: Final = 22
_FILTER: Final = 2

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_GET_VERSION: Final = 1
_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_READ_FOLDER: Final = 1 << 3
_ACCESS_BY_VERSION: Final = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1)
"""The kinds of access to files that each version of Landlock can limit, up to version 3."""
_SCOPES_SINCE: Final = 6
_ALL_SCOPES: Final = 3
"""Abstract Unix sockets and signals."""

_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_SYSTEM_FILES: Final = ("/dev/null", "/dev/urandom", "/sys/devices/system/cpu")

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_DENY: Final = 0x00050001
"""Fail with EPERM."""
_X32: Final = 0x40000000
"""Numbers from here on are those of x86-64's second table, for 32-bit pointers."""

_IO_URING: Final = (425, 426, 427)
# In both: socket, connect, accept, sendto, sendmsg, bind, listen, socketpair, accept4; execve,
# execveat, ptrace, process_vm_readv, process_vm_writev, kill, tkill, tgkill.
_X86_64: Final = (
    *(41, 42, 43, 44, 46, 49, 50, 53, 288),
    *(59, 322, 101, 310, 311, 62, 200, 234),
)
_ARM64: Final = (
    *(198, 203, 202, 206, 211, 200, 201, 199, 242),
    *(221, 281, 117, 270, 271, 129, 130, 131),
)
_MACHINES: Final[Mapping[str, tuple[int, Sequence[int]]]] = {
    "x86_64": (0xC000003E, (*_X86_64, *_IO_URING)),
    "aarch64": (0xC00000B7, (*_ARM64, *_IO_URING)),
}
"""The audit number of a machine, and the system calls to deny."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("then", ctypes.c_uint8),
        ("otherwise", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("first", ctypes.POINTER(_Instruction)))


def confine(*, max_memory: int, readable: Sequence[Path] = ()) -> None:
    """Limit this process for the rest of its life. Call it before it starts a thread.

    It writes no file and no core dump, and has `max_memory` bytes. Where the kernel can, it reads
    only the `readable` folders and those of Python and of shared libraries.
    """
    for limit, value in (
        (resource.RLIMIT_AS, max_memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with suppress(ValueError, OSError):  # this system has no such limit
            resource.setrlimit(limit, (value, value))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
            _limit_files(libc, readable)
            _limit_calls(libc)


def allow_processor_time(seconds: int) -> None:
    """End this process by SIGXCPU after so many more seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _limit_files(libc: ctypes.CDLL, readable: Sequence[Path]) -> None:
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    if version < 1:
        return
    files = _ACCESS_BY_VERSION[min(version, len(_ACCESS_BY_VERSION) - 1)]
    rules = _Ruleset(files, 0, _ALL_SCOPES if version >= _SCOPES_SINCE else 0)
    size = ctypes.sizeof(rules) if rules.scopes else ctypes.sizeof(ctypes.c_uint64)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return
    packages = (each for each in sys.path if each.endswith("-packages"))
    python = (sys.prefix, sys.base_prefix, sys.exec_prefix, *packages)
    for path in {*python, *_SYSTEM, *_SYSTEM_FILES, *map(str, readable)}:
        _allow_reading(libc, ruleset, path)
    libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # absent
    access = _READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0)
    rule = _Beneath(access, opened)
    libc.syscall(_ADD_RULE, ruleset, _BENEATH, ctypes.byref(rule), 0)
    os.close(opened)


def _limit_calls(libc: ctypes.CDLL) -> None:
    if platform.machine() not in _MACHINES:
        return
    instructions = _filter(*_MACHINES[platform.machine()])
    program = _Program(len(instructions), (_Instruction * len(instructions))(*instructions))
    libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)


def _filter(machine: int, denied: Sequence[int]) -> list[_Instruction]:
    """Return a filter (classic BPF): the calls in `denied`, and those of other tables, fail."""
    tests = [_Instruction(_AT_LEAST, len(denied) + 1, 0, _X32)]
    tests += [_Instruction(_EQUAL, len(denied) - n, 0, call) for n, call in enumerate(denied)]
    return [
        _Instruction(_LOAD, 0, 0, 4),  # the machine of the call
        _Instruction(_EQUAL, 1, 0, machine),
        _Instruction(_RETURN, 0, 0, _DENY),
        _Instruction(_LOAD, 0, 0, 0),  # its number
        *tests,
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, _DENY),
    ]
