"""Runs ministack until standard input ends, which it does when the test ends, however the test ends."""

import gc
import os
import signal
import sys
import threading

from ministack.app import main


def watch():
    sys.stdin.buffer.read()
    # The functions' processes are of this group too.
    os.killpg(0, signal.SIGKILL)


# Most of what it holds lives as long as it does: looking for garbage as often as Python does would take a seventh of its time.
gc.freeze()
gc.set_threshold(100_000, 20, 100)
threading.Thread(target=watch, daemon=True).start()
sys.argv = ["ministack"]
main()
