"""The steps before learning, as scripts name them, and when they are worth a sentence."""

import pytest

from tune.command.random_steps import RandomSteps, random_steps


@pytest.mark.parametrize(
    ("line", "name", "number"),
    [
        ("    learning_starts: int = 80000", "learning_starts", 80000),
        ("    learning_starts: int = 5e3", "learning_starts", 5000),
        ("add_argument('--learning-starts', type=int, default=10000,", "learning-starts", 10000),
        ('add_argument("--start_timesteps", default=25e3, type=int)', "start_timesteps", 25000),
        ("add_argument('--start_steps', type=int, default=10_000)", "start_steps", 10000),
        ("DEFINE_integer('start_training', int(1e4),", "start_training", 10000),
        ('model = DQN("MlpPolicy", env, learning_starts=100,', "learning_starts", 100),
        ('"LEARNING_STARTS": 10000,', "LEARNING_STARTS", 10000),
        ("  init_random_frames: 25000  # then it learns", "init_random_frames", 25000),
        ("num_seed_steps: 5000", "num_seed_steps", 5000),
        ("Agent.min_replay_history = 20000", "Agent.min_replay_history", 20000),
        ('"num_steps_sampled_before_learning_starts": 1500', "", 1500),
    ],
)
def test_they_are_found_as_scripts_write_them(line: str, name: str, number: float) -> None:
    text = f"import torch\n{line}\nbatch_size = 7\n"
    found = random_steps("python train.py", {"train.py": text})
    assert found is not None
    assert name in found.name
    assert found[1:] == (number, "train.py")


@pytest.mark.parametrize(
    "line",
    [
        "if global_step > args.learning_starts:",
        "if t < self.learning_starts and x % 2:",
        "updates = self.learning_starts // self.n_envs, 3",
        "random_steps = cfg.random_steps",
        "learning_starts_at = 7",
        "restart_steps = 9",
        "warmup_steps: 500",  # of a learning rate
        "learning_starts: int  # 10000 in the paper",
        "learning_starts: int = DEFAULT\nbatch_size: int = 256",
        "DQN('MlpPolicy', env, learning_starts=starts, buffer_size=50000)",
        '{"learning_starts": null, "buffer_size": 50000}',
        "learning_starts = 1_",
    ],
)
def test_what_gives_no_number_is_none(line: str) -> None:
    assert random_steps("python train.py --lr 3", {"train.py": line}) is None


@pytest.mark.parametrize(
    "words", ["--learning-starts 64", "--learning-starts=64", "algo.learning_starts=64"]
)
def test_the_command_has_the_last_word(words: str) -> None:
    files = {"train.py": "learning_starts: int = 80000", "lib.py": "learning_starts = 5"}
    given = random_steps(f"python train.py --num-envs 8 {words} --seed 1", files)
    assert given is not None
    assert given[1:] == (64, "the command")
    assert random_steps("python train.py", files) == ("learning_starts", 80000, "train.py")


@pytest.mark.parametrize(("speed", "says"), [(5000.0, "16 s at the"), (100_000.0, None)])
def test_those_that_soon_are_over_are_worth_no_sentence(speed: float, says: str | None) -> None:
    doubt = RandomSteps("learning_starts", 80_000.0, "dqn_atari.py").doubt(speed)
    assert (doubt is None) == (says is None)
    if says is not None:
        assert doubt is not None
        assert doubt.startswith(f"learning_starts is 80000 in dqn_atari.py, {says} baseline's ")


def test_a_training_that_never_learns_is_worth_no_sentence() -> None:
    never = random_steps("python train.py --learning-starts 1e999", {})
    assert never is not None
    assert never.doubt(5000.0) is None
