"""Runs ministack until standard input ends, which it does when the test ends, however the test ends."""

import os
import signal
import sys
import threading

from ministack.app import main


def watch():
    sys.stdin.buffer.read()
    # The functions' processes are of this group too.
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=watch, daemon=True).start()
sys.argv = ["ministack"]
main()
