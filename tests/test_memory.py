"""What a server does with memory: how much it is told that it has, and that free memory goes back to the system."""

import os
import platform
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, re, sys, threading
from astrofuse_lab import memory

said = memory.give_back() if sys.argv[1] == "tell" else None
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc.restype = ctypes.c_void_p
together, over = threading.Barrier(7), threading.Event()

def thread():
    libc.malloc(ctypes.c_size_t(1000))  # what a thread asks for first decides which heap is its own
    together.wait(30)
    over.wait(30)

for _ in range(6):
    threading.Thread(target=thread, daemon=True).start()
together.wait(30)
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
over.set()
print(said, len(re.findall("<heap nr", open(sys.argv[2]).read())))
"""


def _heaps(how, path, **more):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | more
    said, count = subprocess.run([sys.executable, "-c", HEAPS, how, path], env=env, capture_output=True, text=True, check=True).stdout.split()
    return said, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heaps, and there is another C library here")
def test_threads_of_a_served_workbench_share_two_heaps(tmp_path):
    """By default each thread has one of its own, which keeps what was free in it once."""
    assert _heaps("tell", tmp_path / "told.xml") == ("True", 2)
    assert _heaps("leave", tmp_path / "left.xml")[1] > 4
    assert _heaps("tell", tmp_path / "own.xml", MALLOC_ARENA_MAX="3") == ("False", 3)  # whoever says how is left alone
