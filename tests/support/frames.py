"""A training script in miniature: a line per update of as many frames as it is told."""

import sys
import time

NUM_ENVS = int(sys.argv[1])

while True:
    time.sleep(0.05)
    print("frames", flush=True)
