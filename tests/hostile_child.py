"""Opens files with every reader in a process of bounded memory: python hostile_child.py FILE..."""

import json
import re
import resource
import sys
import time
from pathlib import Path

from diffjax import unpickle

READERS = (
    unpickle.load_pickle,
    unpickle.load_smpl_pickle,
    unpickle.load_torch,
    unpickle.load_npz,
    unpickle.load_npy,
    unpickle.check_npz,
)
MEMORY = 2 << 30
"""Bytes of addresses beyond what the program itself takes."""


def bound_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def told(reader, path):
    start = time.process_time()
    try:
        reader(path)
        kind, message = "read", ""
    except Exception as error:
        kind, message = type(error).__name__, str(error)
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) >> 10
    seconds = time.process_time() - start
    return {"file": path, "reader": reader.__name__, "kind": kind, "message": message} | {
        "seconds": seconds,
        "peak_mib": peak,
    }


if __name__ == "__main__":
    bound_memory()
    for path in sys.argv[1:]:
        for reader in READERS:
            print(json.dumps(told(reader, path)), flush=True)
