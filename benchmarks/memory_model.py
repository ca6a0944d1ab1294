"""Error of predicting large programs from small compiles: predicted and compiled device bytes.

    python -m benchmarks.memory_model

The model is fitted to six programs at the corners of the space and judged on others between and
beyond them. Compiling costs the same at any size, and nothing runs. Needs the `test` extra.
"""

import argparse
import itertools

from benchmarks.ppo import both_workloads, environments
from trainables.jax_phase12.config import PpoConfig
from trainables.jax_phase12.environment import JaxEnvironment
from tune.memory import model as memory_model

_CORNERS = (
    (512, 32, 4096),
    (512, 32, 16384),
    (512, 256, 4096),
    (2048, 32, 65536),
    (8192, 128, 131072),
    (16384, 32, 4096),
)
_HELD_OUT = (
    *itertools.product((512, 2048, 8192), (64, 128), (4096, 16384, 65536)),
    (8192, 256, 16384),
    (16384, 128, 131072),
)
_MIB = 2**20


def main() -> None:
    """Print one table per environment."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    for name, env in environments():
        compiled = [(config, _compiled_bytes(env, config)) for config in map(_config, _CORNERS)]
        model = memory_model.fit(compiled)
        assert model is not None
        print(f"{name}: fitted to {len(compiled)} programs")
        print(f"{'envs x steps / batch':>24}{'predicted':>17}{'compiled':>14}{'error':>9}")
        errors = []
        for num_envs, num_steps, batch_size in _HELD_OUT:
            if num_envs * num_steps % batch_size:
                continue
            config = _config((num_envs, num_steps, batch_size))
            predicted, actual = model.predict_bytes(config), _compiled_bytes(env, config)
            own_error = model.relative_error(config)
            errors.append(predicted / actual - 1.0)
            print(
                f"{num_envs:>8} x{num_steps:>4} /{batch_size:>8}{predicted / _MIB:>8.0f} MiB"
                f" +-{own_error:>3.0%}"
                f"{actual / _MIB:>10.0f} MiB{errors[-1]:>9.1%}",
                flush=True,
            )
        worst = max(errors, key=abs)
        print(f"{len(errors)} programs that the model had not seen: worst {worst:+.1%}\n")


def _config(sizes: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("num_envs", "num_steps", "batch_size"), sizes, strict=True))


def _compiled_bytes(env: JaxEnvironment, config: dict[str, int]) -> int:
    ours, _ = both_workloads(env, PpoConfig.from_mapping(config))
    device_bytes = ours.compile().device_bytes
    assert device_bytes is not None
    return device_bytes


if __name__ == "__main__":
    main()
