"""Presets, on lines in the form that each project prints: with colours, redraws, nan and units.

The lines are written anew after the projects' own formats.
"""

import pytest

from search_spaces.expression import parse_expression
from trainables.command.presets import AUTO, readings_of, table
from trainables.command.readings import Lines, Meter, ReadingError, first_to_match
from trainables.command.returns import ReturnReader

CONFIG = {
    "num_envs": 16,
    "num_steps": 32,
    "rollout_batch_size": 128,
    "n_samples_per_prompt": 8,
}

PRINTED = {
    "cleanrl": (
        b"global_step=512, episodic_return=[21.]\nSPS: 410\nglobal_step=900, episodic_return=9.0\n"
        b"eval_episode=0, episodic_return=500.0\nSPS: 433\nSPS: 441\n",
        [0, 512, 1024],
    ),
    "leanrl": (
        b"  0%|          | 0/976 [00:00<?, ?it/s]\r"
        b"speed:  1830.1 sps, reward avg: 0.93, reward max:1.00, returns:  nan,lr:  0.00:   2%|2 "
        b"| 20/976 [00:03<02:20]\r"
        b"speed:  1833.0 sps, reward avg: 0.94, reward max:1.00, returns: -22.10,lr:  0.00:   "
        b"2%|2 | 20/976 [00:03<02:20]\r"
        b"speed:  1841.7 sps, global_step=900, episodic_return= 24.02 (max= 30.00):   3%|3 | "
        b"30/976 [00:05<02:19]\r",
        [0, 10 * 512],
    ),
    "sb3": (
        b"-----------------------------------------\n| rollout/                |             |\n"
        b"|    ep_len_mean          | 22.4        |\n|    ep_rew_mean          | -1.2e+03    |\n"
        b"| time/                   |             |\n"
        b"|    fps                  | 1203        |\n|    iterations           | 1           |\n"
        b"|    total_timesteps      | 2048        |\n-----------------------------------------\n"
        b"|    fps                  | 901         |\n|    total_timesteps      | 4096        |\n",
        [0, 2048],
    ),
    "sample-factory": (
        b"\x1b[36m[2026-01-04 10:12:31,035][16355] Fps is (10 sec: nan, 60 sec: nan). "
        b"Total num frames: 0. Throughput: 0: nan. Samples: 0. Policy #0 lag: (min: -1.0)\x1b[0m\n"
        b"\x1b[36m[2026-01-04 10:12:36,036][16355] Fps is (10 sec: 3276.8, 60 sec: 3276.8, "
        b"300 sec: 3276.8). Total num frames: 16384. Throughput: 0: 3148.7.\x1b[0m\n"
        b"\x1b[37m\x1b[1m[2026-01-04 10:12:36,037] Avg episode reward: [(0, '4.200'), "
        b"(1, '9.000')]\x1b[0m\n",
        [0, 16384],
    ),
    "rl_games": (
        b"fps step: 112918 fps step and policy inference: 104337 fps total: 78179 epoch: 1/150 "
        b"frames: 0\nsaving next best rewards: [5.3]\n"
        b"fps step: 113000 fps step and policy inference: 104400 fps total: 79000 epoch: 2/150 "
        b"frames: 65536\n",
        [0, 79000],
    ),
    "rsl_rl-3.1": (
        b"\x1b[1m Learning iteration 1/1500 \x1b[0m\n"
        b"                       Computation: 46829 steps/s (collection: 1.926s, learning 0.173s)\n"
        b"                    Mean action noise std: 1.00\n"
        b"                             Mean reward: -4.46\n"
        b"                     Mean episode length: 19.00\n"
        b"                       Computation: 50000 steps/s (collection: 1.9s, learning 0.17s)\n",
        [0, 50000],
    ),
    "rsl_rl": (
        b"                            Total steps: 98304 \n"
        b"                       Steps per second: 60210 \n"
        b"                            Total steps: 196608 \n"
        b"                       Steps per second: 61000 \n"
        b"                  Mean extrinsic reward: 9.00\n"
        b"                            Mean reward: 5.25\n",
        [0, 98304],
    ),
    "stoix": (
        b"\x1b[36m\x1b[1m\x1b[33m\x1b[1mMISC - Timestep: 15360\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[36m\x1b[1mACTOR - Steps per second: 289.460"
        b" | Episode return mean: 73.586 | Episode return std: 42.361\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[35m\x1b[1mTRAINER - Actor loss: -0.002 | Entropy: 0.627 | "
        b"Steps per second: 4.523 | Value loss: 41.446\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[32m\x1b[1mEVALUATOR - Steps per second: 2529.664 | "
        b"Episode return mean: 104.000 | Solved episode mean: 0.000\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[33m\x1b[1mMISC - Timestep: 20480\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[36m\x1b[1mACTOR - Steps per second: 496.889"
        b" | Episode return mean: 141.727 | Episode return std: 87.653\x1b[0m\n",
        [0, 496.889],
    ),
    "stoix-sebulba": (
        b"\x1b[36m\x1b[1m\x1b[33m\x1b[1mMISC - Learn step time: 0.016 | Learner policy version: 20"
        b" | Learner steps per seconds: 0 | Params queue put time: 0.179 | Rollout queue get time: "
        b"0.859 | Timestep: 1284 | Update no: 20\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[33m\x1b[1mMISC - Actor policy version: 28 | Env step time: 0.000 | "
        b"Get params time: 0.000 | Global sps: 9 | Local sps: 9 | Num rollouts: 30\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[36m\x1b[1mACTOR - Num completed episodes in rollout batch: 29 | "
        b"Episode length mean: 21.448 | Episode return mean: 21.448 | Episode return std: 12.125 | "
        b"Episode return min: 9.000 | Episode return max: 63.000\x1b[0m\n"
        b"\x1b[36m\x1b[1m\x1b[33m\x1b[1mMISC - Learn step time: 0.004 | Learner policy version: 30"
        b" | Learner steps per seconds: 0 | Params queue put time: 0.091 | Rollout queue get time: "
        b"0.570 | Timestep: 1924 | Update no: 30\x1b[0m\n",
        [0, 640],
    ),
    "brax": (
        b"I0104 10:00:00.1 140 learner.py:130] [1003520] eval/episode_reward=-150.3, "
        b"eval/episode_reward_std=2.0, training/sps=5012.1, training/walltime=200.2\n"
        b"I0104 10:00:09.1 140 learner.py:130] [2007040] training/sps=1.1e+05, eval/sps=2e5\n",
        [0, 110000],
    ),
    "mujoco_playground": (b"0: reward=28.295\n12800: reward=23.788\n", [0, 12800]),
    "mujoco_playground-training": (
        b"1280: mean episode reward=28.277\n2560: mean episode reward=28.284\n",
        [0, 1280],
    ),
    "skrl": (
        b"\r  0%|          | 0/16000 [00:00<?, ?it/s]\r  1%|1         | 100/16000 "
        b"[00:02<05:10, 51.2it/s]\r  1%|1         | 160/16000 [00:03<05:10, 51.2it/s]\r",
        [0, 100 * 16, 160 * 16],
    ),
    "pufferlib": (
        "\x1b[0;0H╭────────────────────────────────────────────────────────────╮\n"
        "│  Steps        5.1M      Copy        3s  14%    entropy         0.123  │\n"
        "│  SPS          1.2M      Misc        3s  14%    old_approx_kl   0.123  │\n"
        "│  Epoch           3                                                    │\n"
        "│  SPS          1.3M      Misc        3s  14%    old_approx_kl   0.123  │\n"
        "│  User Stats           Value    User Stats                       Value  │\n"
        "│  episode_return       0.812    episode_length                  31.000  │\n".encode(),
        [0, 1.3e6],
    ),
    "rllib": (
        b" episode_return_mean: 20.5\n num_env_steps_sampled_lifetime: 4000\n"
        b"'num_env_steps_sampled_lifetime': 8000.0,\n",
        [0, 4000],
    ),
    "verl": (
        b"step:1 - actor/pg_loss:0.01 - perf/throughput:412.5 - timing_s/step:21.2\n"
        b"step:2 - critic/score/mean:np.float64(0.25) - critic/rewards/mean:0.2 - "
        b"perf/throughput:np.float64(420.0) - timing_s/step:20.1\n",
        [0, 420],
    ),
    "trl": (
        b"{'loss': 0.0, 'num_tokens': 15000.0, 'rewards/f/mean': 9.0, 'reward': 0.5, "
        b"'step_time': 4.2}\n"
        b"{'loss': 0.0, 'num_tokens': '2.9e+04', 'step_time': 4.1}\n",
        [0, 14000],
    ),
    "openrlhf": (
        b"Global step 1: {'reward': 0.1, 'timing/step_total': 31.2}\n"
        b"Global step 2: {'reward': 0.2, 'reward_std': 3.0, 'timing/step_total': 30.0}\n",
        [0, 1024],
    ),
    "nemo-rl": (
        b"  - E2E (Tokens/sec/gpu): 1011.5\n  \xe2\x80\xa2 Avg Reward: 0.4375\n"
        b"  - E2E (Tokens/sec/gpu): 1100.0\n",
        [0, 1100],
    ),
}
"""What each script prints, a second apart, and the steps that are read of it."""


RETURNS = {
    "cleanrl": 15.0,  # of 21 and 9
    "leanrl": 24.02,
    "sb3": -1200.0,
    "sample-factory": 4.2,
    "rsl_rl-3.1": -4.46,
    "rsl_rl": 5.25,
    "stoix": 141.727,
    "stoix-sebulba": 21.448,
    "brax": -150.3,
    "mujoco_playground": 23.788,
    "mujoco_playground-training": 28.284,
    "pufferlib": 0.812,
    "rllib": 20.5,
    "verl": 0.25,
    "trl": 0.5,
    "openrlhf": 0.2,
    "nemo-rl": 0.4375,
}
"""The return at the end of those lines, of the scripts that print one."""


def test_every_preset_has_lines_here() -> None:
    assert set(PRINTED) == {row.name for row in table()}


@pytest.mark.parametrize("name", PRINTED)
def test_a_preset_reads_its_script(name: str) -> None:
    printed, steps = PRINTED[name]
    [reading] = readings_of(name, CONFIG)
    meter = Meter(reading, CONFIG)
    heard, at_s = [], 0.0
    for line in Lines().feed(printed):
        point = meter.hear(line, at_s)
        at_s += 1.0 if point is not None else 0.0
        heard += [] if point is None else [point.steps]
    assert heard == pytest.approx(steps)


@pytest.mark.parametrize("name", PRINTED)
def test_a_preset_reads_the_return_where_its_script_prints_one(name: str) -> None:
    [reading] = readings_of(name, CONFIG)
    assert (reading.returns is not None) == (name in RETURNS)
    if reading.returns is None:
        return
    returns = ReturnReader(reading.returns)
    told = [returns.hear(line) for line in Lines().feed(PRINTED[name][0])]
    means = [mean.value for mean in told if mean is not None]
    assert means[-1] == pytest.approx(RETURNS[name])
    assert len(means) <= 2


@pytest.mark.parametrize("name", [row.name for row in table() if not row.by_name_only])
def test_auto_takes_each_script_for_its_own(name: str) -> None:
    reading = first_to_match(readings_of(AUTO, CONFIG), Lines().feed(PRINTED[name][0]))
    assert reading is not None
    assert reading.preset == name


@pytest.mark.parametrize(("name", "per_gpu"), [("verl", 420), ("nemo-rl", 1100)])
def test_a_rate_per_gpu_is_one_of_all_gpus(name: str, per_gpu: int) -> None:
    lines = Lines().feed(PRINTED[name][0])
    for axes in ({}, {"num_devices": 1}, {"num_devices": 4}):
        [reading] = readings_of(name, axes)
        meter = Meter(reading, axes)
        heard = [meter.hear(line, float(at_s)) for at_s, line in enumerate(lines)]
        [_, point] = [point for point in heard if point is not None]
        assert point.steps / point.at_s == per_gpu * axes.get("num_devices", 1)
        assert reading.units == "tokens"


def test_auto_leaves_out_what_the_axes_cannot_count() -> None:
    names = {reading.preset for reading in readings_of(AUTO, ["n_envs"])}
    assert "cleanrl" not in names
    assert "sb3" in names


def test_a_preset_without_its_axes_asks_for_steps() -> None:
    with pytest.raises(ReadingError, match=r"counts num_envs \* num_steps agent steps, and num_e"):
        readings_of("cleanrl", ["n_envs"])
    [reading] = readings_of("cleanrl", ["n_envs"], steps="n_envs * 128")
    assert reading.steps == "n_envs * 128"
    by_preset = {r.preset: r for r in readings_of(AUTO, ["n_envs"], steps="n_envs * 128")}
    assert by_preset["cleanrl"].steps == "n_envs * 128"
    assert by_preset["sb3"].steps is None
    assert by_preset["verl"].steps == "num_devices"
    for name in ("sb3", "verl"):
        with pytest.raises(ReadingError, match=f"--preset {name} reads the steps themselves"):
            readings_of(name, ["n_envs"], steps="n_envs")


@pytest.mark.parametrize(
    "line",
    [
        "Downloading: 40%|####      | 4/10 [00:01<00:02, 2.9it/s]",
        "update 7 SPS 4567",  # a mean since the start, perhaps
        "SPS 4567",
    ],
)
def test_a_line_of_something_else_is_no_training_of_auto(line: str) -> None:
    assert first_to_match(readings_of(AUTO, CONFIG), [line]) is None


def test_counts_that_do_not_move_when_an_update_ends_are_marked() -> None:
    by_clock = {row.name for row in table() if row.reading.by_clock}
    assert by_clock == {"sample-factory", "skrl"}


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ReadingError, match=r"--preset is one of auto, cleanrl, .*, got 'clean'"):
        readings_of("clean", [])


def test_every_row_says_its_source_and_counts_what_can_be_computed() -> None:
    for row in table():
        assert row.source
        assert row.checked
        assert row.steps is None or parse_expression(row.steps).names <= {*CONFIG, "num_devices"}
