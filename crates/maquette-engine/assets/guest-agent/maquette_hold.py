"""What keeps everything else in a template's machine from running while its memory is saved, and until a node is one."""

import ctypes
import mmap
import os
import sys
import time

from maquette_agent import ROOT, Failed, read, write


def libc():
    return ctypes.CDLL(None, use_errno=True)


def called(result, what):
    if result < 0:
        raise Failed(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


class Hold:
    """While it is, no other process runs, from before the memory is saved until a node has random numbers of its own: this
    one and one on each further processor keep it busy, at a priority that comes before all others'. What interrupts them is
    the kernel, which takes in what comes on the port."""

    LIMIT = "/proc/sys/kernel/sched_rt_runtime_us"
    # How long it waits for somebody who tells it something, in seconds in which the machine runs: it does not while its memory
    # is a file, and a node hears in its first moment. One that is resumed by hand hears nothing.
    PATIENCE = 5 if ROOT else 60

    def __init__(self):
        self.over = mmap.mmap(-1, mmap.PAGESIZE)
        self.others = []
        self.limit = None
        self.end_of_patience = time.monotonic() + self.PATIENCE
        if ROOT:
            write(ROOT + "/held", "")
            return
        # Who has to wait for a page of a program to be read lets others go on meanwhile.
        self.libc = libc()
        if self.libc.mlockall(1):  # MCL_CURRENT
            print("its memory cannot be locked", file=sys.stderr)
        self.processors = sorted(os.sched_getaffinity(0))
        try:
            self.limit = read(self.LIMIT)
            self.set_limit("-1")
            # Before others keep theirs busy, on one of which this process may be.
            os.sched_setaffinity(0, self.processors[:1])
            for each in enumerate(self.processors[1:], 1):
                self.others.append(self.keep_busy(*each))
            while not all(self.over[1 : 1 + len(self.others)]):
                time.sleep(0.001)
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        except OSError as error:
            # A kernel may give such turns to nobody; the template is of use all the same.
            print(f"priority: {error.strerror}", file=sys.stderr)

    def is_forgotten(self):
        """Whether nobody has told it anything for too long."""
        return time.monotonic() >= self.end_of_patience

    def set_limit(self, text):
        # Of every second, others have a twentieth else.
        with open(self.LIMIT, "w", encoding="ascii") as file:
            file.write(text)

    def keep_busy(self, number, processor):
        child = os.fork()
        if child:
            return child
        try:
            os.sched_setaffinity(0, [processor])
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
            self.over[number] = 1
            while not self.over[0]:
                pass
        finally:
            self.over[number] = 1
            os._exit(0)

    def end(self):
        self.over[0] = 1
        if ROOT:
            os.unlink(ROOT + "/held")
            return
        try:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            for child in self.others:
                os.waitpid(child, 0)
            os.sched_setaffinity(0, self.processors)
            if self.limit is not None:
                self.set_limit(self.limit)
        except OSError as error:
            print(f"priority: {error.strerror}", file=sys.stderr)
        self.libc.munlockall()
