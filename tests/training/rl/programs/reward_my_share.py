"""One of two training processes: reads its rollouts, rewards them with their whole groups, writes the rewards."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from accelerate import PartialState

from training.rl.rewards import REWARDS, Facts, with_groups

state = PartialState(cpu=True)
assert state.num_processes == 2 and state.backend == "gloo", state
reward, folder, rank = sys.argv[1], Path(sys.argv[2]), os.environ["RANK"]
rows = json.loads((folder / f"in-{rank}.json").read_text())
seen = with_groups([group for group, _ in rows], [Facts(*facts) for _, facts in rows])
(folder / f"out-{rank}.json").write_text(json.dumps([REWARDS[reward](facts, group) for facts, group in seen]))
state.destroy_process_group()
