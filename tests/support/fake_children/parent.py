"""A parent that runs one trial, to be interrupted or killed.

python parent.py REQUEST_JSON LOG [COMMAND ...]
"""

import json
import os
import sys
from pathlib import Path

from cluster.structure import revive
from trainables.measurement import TrialRequest
from trainables.process import run_child

request_json, log, *command = sys.argv[1:]
for message in run_child(
    revive(TrialRequest, json.loads(request_json)),
    environment=dict(os.environ),
    log_path=Path(log),
    thread_cap=1,
    command=command or None,
):
    print(message, flush=True)
