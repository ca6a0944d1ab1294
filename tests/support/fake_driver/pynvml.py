"""The driver that the variable FAKE_NVML describes: see fake_nvml.py."""

import importlib
import json
import os
import sys
from pathlib import Path

_support = str(Path(__file__).parents[1])
sys.path.append(_support)
_fake = importlib.import_module("fake_nvml")
sys.path.remove(_support)
globals().update(vars(_fake.fake_nvml(**json.loads(os.environ["FAKE_NVML"]))))
