"""Presets, on lines in the form that each project prints: with colours, redraws, nan and units.

The lines are written anew after the projects' own formats; those of CleanRL and LeanRL are as they
were printed.
"""

import re
import time

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
        b"global_step=108, episodic_return=[27.]\nSPS: 19\nglobal_step=156, episodic_return=[10.]\n"
        b"eval_episode=0, episodic_return=500.0\nSPS: 12\nSPS: 14\n",
        [0, 512, 1024],
    ),
    "leanrl": (
        b"  0%|          | 0/15625000 [00:00<?, ?it/s]\r"
        b"speed:  365.7 sps, :   0%|          | 12/15625000 [00:02<517:40:44,  8.38it/s]\r"
        b"speed:  276.5 sps, global_step=800, episodic_return=-1129.31 (max=-864.39):   0%|"
        b"          | 20/15625000 [00:04<1766:09:33,  2.46it/s]\r"
        b"speed:  276.5 sps, global_step=800, episodic_return=-1129.31 (max=-864.39):   0%|"
        b"          | 20/15625000 [00:04<1766:09:33,  2.46it/s]\r",
        [0, 8 * 512],
    ),
    "leanrl-replay": (
        b"  0%|          | 999/1000000 [00:40<23:39:26, 11.73it/s]\r"
        b" 17.6848 sps, global_step=999, episodic_return=-1355.02 (max=-876.49):   0%|          | "
        b"1085/1000000 [00:51<38:23:15,  7.23it/s]\r"
        b" 17.6848 sps, global_step=999, episodic_return=-1355.02 (max=-876.49):   0%|          | "
        b"1087/1000000 [00:51<37:53:47,  7.32it/s]\r",
        [0, 2],
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
        b"fps step: 223 fps step and policy inference: 158 fps total: 143 epoch: 1/1000000 "
        b"frames: 64\nsaving next best rewards:  [26.]\n"
        b"fps step: 213 fps step and policy inference: 157 fps total: 144 epoch: 2/1000000 "
        b"frames: 128\n"
        b"fps step: 292 fps step and policy inference: 200 fps total: 183 epoch: 3 "
        b"frames: 192/100000\n",
        [0, 64, 128],
    ),
    "rl_games-1.5": (
        b"fps step: 112918.0 fps step and policy inference: 104337.1  fps total: 78179.2\n"
        b"fps step: 113000 fps step and policy inference: 104400 fps total: 79000 epoch: 2/150\n",
        [0, 79000],
    ),
    "rsl_rl-3.1": (
        b"                        \x1b[1m Learning iteration 0/1500 \x1b[0m    \n\n"
        b"                       Computation: 91 steps/s (collection: 0.922s, learning 3.277s)\n"
        b"             Mean action noise std: 1.07\n"
        b"          Mean value_function loss: 56.3499\n"
        b"                       Mean reward: 14.89\n"
        b"               Mean episode length: 14.89\n"
        b"              Episode_Reward/alive: 1.5000\n"
        b"         Mean episode reward_total: 9.0000\n"
        b"                   Total timesteps: 384\n"
        b"                       Computation: 94 steps/s (collection: 1.002s, learning 3.070s)\n"
        b"             Mean extrinsic reward: 9.00\n"
        b"                       Mean reward: -4.46\n",
        [0, 94],
    ),
    "rsl_rl": (
        b"\x1b[1m                             Learning iteration 0/2     \x1b[0m \n\n"
        b"                            Total steps: 384 \n"
        b"                       Steps per second: 54 \n"
        b"                    Mean surrogate loss: -0.0064\n"
        b"                            Mean reward: 14.89\n"
        b"              Mean episode reward_total: 9.0000\n"
        b"                            Total steps: 768 \n"
        b"                       Steps per second: 96 \n"
        b"                  Mean extrinsic reward: 9.00\n"
        b"                            Mean reward: 21.23\n",
        [0, 384],
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
    "tianshou": (
        "Initial test step: test_reward: 31.250000 ± 17.583728, best_reward: 31.250000\n"
        "\nEpoch #1:   0%|          | 0/1000 [00:00<?, ?it/s]\x1b[A\n"
        "\rEpoch #1:  26%|##5       | 256/1000 [00:00<00:02, 344.04it/s]\x1b[A\n"
        "\rEpoch #1:  26%|##5       | 256/1000 [00:00<00:02, 344.04it/s, env_episode=9, "
        "env_step=256, len=17, n_ep=9, n_st=256, rew=17.33, update_step=1]\x1b[A\n"
        "\rEpoch #1:  51%|#####1    | 512/1000 [00:01<00:01, 343.24it/s, env_episode=9, "
        "env_step=256, len=17, n_ep=9, n_st=256, update_step=1]\x1b[A\n"
        "\rEpoch #1:  51%|#####1    | 512/1000 [00:01<00:01, 343.24it/s, env_episode=22, "
        "env_step=512, len=12, n_ep=13, n_st=256, rew=19.77, update_step=2]\x1b[A\n".encode(),
        [0, 256],
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
        b" episode_return_mean: 20.5\n num_env_steps_sampled_lifetime: 257\n"
        b"                 'num_env_steps_sampled_lifetime': 514.0,\n"
        b" 'num_env_steps_sampled_lifetime': 514.0,\n"
        b"{'timers': {'training_iteration': 1.53}, 'env_runners': {"
        b"'num_env_steps_sampled_lifetime': 770.0, 'agent_episode_return_mean': {'agent_1': "
        b"np.float64(9.0)}, 'episode_return_mean': np.float64(18.46153846153846), "
        b"'episode_return_min': np.float64(10.0), 'module_episode_return_mean': {'p0': 9.0}, "
        b"'num_env_steps_sampled_lifetime_throughput': {'throughput_since_last_reduce': 4.5}}, "
        b"'num_env_steps_sampled_lifetime': 770.0}\n",
        [0, 257, 513],
    ),
    "verl": (
        b"\x1b[36m(TaskRunner pid=4093)\x1b[0m step:0 - val-core/gsm8k/reward/mean@1:0.01\n"
        b"\x1b[36m(TaskRunner pid=4093)\x1b[0m step:1 - actor/pg_loss:np.float64(-0.01) - "
        b"critic/score/mean:nan - perf/total_num_tokens:8253 - perf/time_per_step:20.0 - "
        b"perf/throughput:412.5\n"
        b"step:2 - critic/score/mean:np.float64(0.25) - critic/rewards/mean:0.2 - "
        b"perf/throughput:np.float64(420.0) - timing_s/step:20.1\n",
        [0, 420],
    ),
    "trl": (
        b"\r  0%|          | 93/1000000 [03:54<823:27:41,  2.96s/it]\r"
        b"                                                        \r"
        b"{'loss': 0.0, 'num_tokens': 15000.0, 'rewards/f/mean': 9.0, 'reward': 0.5, "
        b"'step_time': 4.2}\n"  # of Transformers 4
        b"\r  0%|          | 94/1000000 [03:56<779:37:52,  2.81s/it]{'loss': '-0.14', "
        b"'num_tokens': '2.9e+04', 'completions/mean_length': '8', 'rewards/<lambda>/mean': '0.5', "
        b"'rewards/<lambda>/std': '0.5', 'reward': '0.25', 'reward_std': '0.5', 'step_time': "
        b"'2.383'}\n",
        [0, 14000],
    ),
    "openrlhf": (
        b"\x1b[36m(PPOTrainer pid=4093)\x1b[0m INFO 08-13 19:25:45 ppo_trainer.py:547] "
        b"\xe2\x9c\xa8 Global step 1: {'policy_loss': 0.1, 'reward': 0.1, 'timing/generation': "
        b"20.1, 'timing/step_total': 31.2}\n"
        b"(PPOTrainer pid=4093) INFO 08-13 19:26:17 ppo_trainer.py:594] \xe2\x9c\xa8 Evaluation "
        b"completed in 0:00:10, global_step 1, eval_metrics: {'eval_default_pass1': 0.5}\n"
        b"(PPOTrainer pid=4093) INFO 10-31 19:26:17 ppo_trainer.py:532] "
        b"\xe2\x9c\xa8 Global step 2: {'reward': 0.2, 'reward_std': 3.0}\n",  # of 0.9.0
        [0, 1024],
    ),
    "nemo-rl": (
        "  • Avg Reward: 0.4375\n    - E2E (Samples/sec/gpu): 4.00\n"
        "    - E2E (Tokens/sec/gpu): 1011.50\n    - Policy Training (Tokens/sec/gpu): 3000.00\n"
        "    - E2E (Tokens/sec): 8092.00\n  • Avg Filtered Reward: 0.9000\n"
        "  • Avg Total Reward: 0.2500\n    - E2E (Tokens/sec/gpu): 1100.00\n"
        "│ Avg Reward: 0.9990 │\n".encode(),  # the last of a validation's samples
        [0, 1100],
    ),
}
"""What each script prints, a second apart, and the steps that are read of it."""


RETURNS = {
    "cleanrl": 18.5,  # of 27 and 10
    "leanrl": -1129.31,
    "leanrl-replay": -1355.02,
    "sb3": -1200.0,
    "sample-factory": 4.2,
    "rsl_rl-3.1": -4.46,
    "rsl_rl": 21.23,
    "tianshou": 19.77,
    "stoix": 141.727,
    "stoix-sebulba": 21.448,
    "brax": -150.3,
    "mujoco_playground": 23.788,
    "mujoco_playground-training": 28.284,
    "pufferlib": 0.812,
    "rllib": 18.46153846153846,
    "verl": 0.25,
    "trl": 0.25,
    "openrlhf": 0.2,
    "nemo-rl": 0.25,
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


@pytest.mark.parametrize(
    ("line", "name", "returned"),
    [
        (  # ppo_trxl.py
            "1 SPS=  10 return=-1.80 length=10.0 pi_loss=0.246 v_loss=0.565 entropy=0.691 "
            "r_loss=0.000 value=-1.197 adv=-0.159",
            "cleanrl",
            -1.80,
        ),
        (  # ppo_continuous_action_torchcompile.py
            "speed:  1830.1 sps, reward avg: 0.93, reward max: 1.00, returns: -22.10,lr:  0.00:   "
            "2%|2 | 20/976 [00:03<02:20,  6.80it/s]",
            "leanrl",
            -22.10,
        ),
        (  # ppo_atari_envpool_xla_jax.py
            "speed:  1830.1 sps:   2%|2 | 20/976 [00:03<02:20,  6.80it/s]",
            "leanrl",
            None,
        ),
        (  # dqn.py
            "speed:  17.41 sps, global_step=668, episodic_return=35.21052551269531:  24%|##3       "
            "| 711/3000 [00:30<02:05, 18.27it/s]",
            "leanrl-replay",
            35.21052551269531,
        ),
    ],
)
def test_scripts_of_one_project_that_count_in_other_ways_are_told_apart(
    line: str, name: str, returned: float | None
) -> None:
    reading = first_to_match(readings_of(AUTO, CONFIG), [line])
    assert reading is not None
    assert reading.preset == name
    assert reading.returns is not None
    heard = ReturnReader(reading.returns).hear(line)
    assert (None if heard is None else heard.value) == returned


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
    words = "for each line, and num_envs and num_steps are no axes: give the steps from one line"
    with pytest.raises(ReadingError, match=words):
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


@pytest.mark.parametrize("piece", ["1", "a", " ", "=", "-", "|", "1 ", "1/", "1.", "a=", ": "])
def test_a_long_line_of_one_thing_takes_no_time(piece: str) -> None:
    """The seconds are of this process's CPU; one pattern that is quadratic takes four and more."""
    starts = ("", "speed: 12.3 sps ", "12.34 sps 50%|", "1%| ", "global_step=1, ")
    lines = [start + piece * (32 * 1024 // len(piece)) for start in starts]
    patterns = [p for row in table() for p in (row.pattern, row.returns) if p is not None]
    began = time.process_time()
    for pattern in map(re.compile, patterns):
        for line in lines:
            pattern.search(line)
    assert time.process_time() - began < 2.0


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
