"""A disk that is full, as SQLite sees it: a layer over its files that takes no writes while it is told so.

It lies in the SQLite of this process, needs no rights and no disk, and is gone when the block ends.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

_Write = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
)
_Size = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64))
_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
)

_WORD = ctypes.sizeof(ctypes.c_void_p)
_METHODS = 19 * _WORD
"""``sqlite3_io_methods``: a version, and 18 functions. The fourth word writes, the seventh tells the size."""

_WRITES, _SIZE = 3, 6


class _Vfs(ctypes.Structure):
    """The beginning of ``sqlite3_vfs``, up to what opens a file; and what comes behind it."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_size", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("own", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 15),
    )


@attrs.define
class Disk:
    """Whether it takes what is written: ``"all"``, what makes no file ``"longer"``, or ``"nothing"``."""

    takes: str = "all"
    refused: int = 0


def _library() -> Any:
    name = ctypes.util.find_library("sqlite3")
    library = None if name is None else ctypes.CDLL(name)
    if library is None or not _is_ours(library):
        pytest.skip("the SQLite of this Python cannot be reached from here")
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    return library


def _is_ours(library: Any) -> bool:
    """Whether the library is the one that this Python has linked, and not another that is here as well."""
    library.sqlite3_libversion.restype = ctypes.c_char_p
    library.sqlite3_memory_used.restype = ctypes.c_int64
    before = library.sqlite3_memory_used()
    connection = sqlite3.connect(":memory:")
    try:
        return bool(library.sqlite3_memory_used() > before)
    finally:
        connection.close()


@contextmanager
def disk_that_fills() -> Generator[Disk]:
    """All files that are opened in the block are on a disk that may be told to be full."""
    library, disk = _library(), Disk()
    usual = library.sqlite3_vfs_find(None)
    layer = _Vfs.from_buffer_copy(usual.contents)
    layer.name = b"fills"
    opens = _Open(usual.contents.open)
    kept: dict[int, tuple[int, object, object]] = {}

    def methods_over(below: int) -> tuple[int, object, object]:
        """Where the functions of a file are, with another that writes; and what must not go away."""
        table = (ctypes.c_void_p * 19).from_buffer_copy(ctypes.string_at(below, _METHODS))
        writes, size = _Write(table[_WRITES] or 0), _Size(table[_SIZE] or 0)

        def write(file: int, data: int, count: int, at: int) -> int:
            length = ctypes.c_int64()
            size(file, ctypes.byref(length))
            is_longer = at + count > length.value
            if disk.takes == "nothing" or (disk.takes == "longer" and is_longer):
                disk.refused += 1
                return sqlite3.SQLITE_FULL
            return int(writes(file, data, count, at))

        instead = _Write(write)
        table[_WRITES] = ctypes.cast(instead, ctypes.c_void_p).value
        return ctypes.addressof(table), table, instead

    def open_file(vfs: int, name: int, file: int, flags: int, out: int) -> int:
        code = int(opens(vfs, name, file, flags, out))
        methods = ctypes.c_void_p.from_address(file)
        if code == sqlite3.SQLITE_OK and methods.value:
            if methods.value not in kept:
                kept[methods.value] = methods_over(methods.value)
            methods.value = kept[methods.value][0]
        return code

    instead = _Open(open_file)
    layer.open = ctypes.cast(instead, ctypes.c_void_p).value
    assert library.sqlite3_vfs_register(ctypes.byref(layer), 1) == sqlite3.SQLITE_OK
    try:
        yield disk
    finally:
        disk.takes = "all"
        library.sqlite3_vfs_unregister(ctypes.byref(layer))
        library.sqlite3_vfs_register(usual, 1)
