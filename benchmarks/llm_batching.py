"""Time saved by batching questions to the language model: the same prompts alone and together.

    python -m benchmarks.llm_batching [--llm embedded] [--num-envs 8 16 32] [--rounds 3]

Both ways answer the same contexts with the same model in one process, in turns, so that a noisy
machine slows both. Figures are medians over the rounds. It also checks that both ways give the same
answers. Run it under a trial's caps, or torch takes every CPU it sees.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from trainables.market.features import build_market
from trainables.market.synthetic import synthetic_bars
from trainables.pytorch_phase3 import advice, llm, sources
from trainables.pytorch_phase3.advice import MarketContext
from trainables.pytorch_phase3.llm import LanguageModel
from trainables.pytorch_phase3.options import Phase3Options


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llm", default=sources.EMBEDDED)
    parser.add_argument("--num-envs", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = load(arguments.llm)
    print(f"{arguments.llm}, {torch.get_num_threads()} threads, {arguments.rounds} rounds")
    print(
        f"{'questions':>9}{'one by one':>12}{'one batch':>11}{'ratio':>7}{'same':>7}\n"
        f"{'':>9}{'s':>12}{'s':>11}{'':>7}{'answers':>7}"
    )
    for num_envs in arguments.num_envs:
        contexts = distinct_contexts(num_envs)
        model.answer(contexts[:1])  # the first question also warms up
        alone, together, same = [], [], 0
        for _ in range(arguments.rounds):
            one_s, one = timed(lambda: answer_one_by_one(model, contexts))  # noqa: B023
            batch_s, batch = timed(lambda: model.answer(contexts).texts)  # noqa: B023
            alone.append(one_s)
            together.append(batch_s)
            same = sum(a == b for a, b in zip(one, batch, strict=True))
        ratio = statistics.median(a / b for a, b in zip(alone, together, strict=True))
        print(
            f"{num_envs:>9}{statistics.median(alone):>12.2f}{statistics.median(together):>11.2f}"
            f"{ratio:>7.2f}{f'{same}/{num_envs}':>7}"
        )


def load(name: str) -> LanguageModel:
    """Load the model on the device that a trial would use."""
    source = sources.resolve(name)
    if source is None:
        raise SystemExit("error: --llm none asks nobody.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = llm.find(
        source, dtype="auto", device=device, unpacked=Phase3Options(llm=name).unpacked_folder()
    )
    return llm.load(found, device)


def distinct_contexts(count: int) -> list[MarketContext]:
    """Return the first `count` distinct contexts of a synthetic market, at random bars."""
    features = build_market(synthetic_bars(seed=0, num_days=50)).features
    rng = np.random.default_rng(0)
    drawn = features[rng.integers(0, len(features), 10 * count)]
    direction = rng.integers(-1, 2, 10 * count).astype(np.float32)
    return list(dict.fromkeys(advice.contexts_of(drawn, direction)))[:count]


def answer_one_by_one(model: LanguageModel, contexts: Sequence[MarketContext]) -> list[str]:
    """Return the texts of each context asked alone."""
    return [model.answer([context]).texts[0] for context in contexts]


def timed(answer: Callable[[], list[str]]) -> tuple[float, list[str]]:
    """Return the seconds, and the answers."""
    started = time.perf_counter()
    texts = answer()
    return time.perf_counter() - started, texts


if __name__ == "__main__":
    main()
