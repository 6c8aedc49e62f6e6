"""OpenCV with the same results on every processor of an architecture.

OpenCV picks its code by the processor's instruction set, and on Intel's takes Intel's library, so
SIFT descriptors differ in their last bits from machine to machine, and match counts by a few. Its
baseline code does not, and is no slower for SIFT.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_switch = threading.RLock()  # OpenCV's switch is the process's, not the thread's


@contextmanager
def portable() -> Iterator[None]:
    """Let OpenCV use its baseline code alone, one thread of ours at a time."""
    with _switch:
        before = cv2.useOptimized()
        cv2.setUseOptimized(False)
        try:
            yield
        finally:
            cv2.setUseOptimized(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenCV run on one thread: what it finds may depend on how many there are."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
