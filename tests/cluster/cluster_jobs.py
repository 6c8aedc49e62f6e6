"""Jobs for the tests; the workers' PYTHONPATH has this folder."""

import os
import signal
import time
from pathlib import Path

import cv2

from srntt_pipeline.errors import InputError, UnusableImage


def square(number):
    return number * number


def process(_):
    return os.getpid()


def nap(seconds):
    time.sleep(seconds)
    return time.monotonic()


def nap_and_tell(seconds):
    time.sleep(seconds)
    return os.getpid()


def threads(_):
    """The number of OpenCV's threads before and after a while in which other jobs may start."""
    before = cv2.getNumThreads()
    time.sleep(0.05)
    return before, cv2.getNumThreads()


def write(path):
    """Write to a path as it was given, be it relative."""
    Path(path).write_text(str(os.getpid()))


def fail(number):
    if number == 2:
        raise InputError("photo.jpg: no photo")


def fail_unusable(_):
    raise UnusableImage("photo.jpg", "empty file (0 bytes)")


def fail_by_our_fault(_):
    return {}["key"]


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)
