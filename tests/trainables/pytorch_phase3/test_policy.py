"""The fusion of the policy's logits with advice, and the masks."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="Phase 3 needs torch (extra torch)")
pytest.importorskip("sb3_contrib", reason="Phase 3 needs sb3-contrib (extra torch)")

import gymnasium
import torch

from trainables.market.positions import BUY, SELL
from trainables.pytorch_phase3.advisor import ADVICE_SIZE
from trainables.pytorch_phase3.market_env import ACCOUNT_SIZE, NUM_ACTIONS, OBSERVATION_SIZE
from trainables.pytorch_phase3.policy import Fusion, HybridPolicy

BATCH = 5
SIZE = OBSERVATION_SIZE + ADVICE_SIZE


@pytest.fixture
def policy() -> HybridPolicy:
    torch.manual_seed(0)
    return HybridPolicy(
        gymnasium.spaces.Box(-np.inf, np.inf, (SIZE,), np.float32),
        gymnasium.spaces.Discrete(NUM_ACTIONS),
        lambda _: 1e-3,
    )


def advised(action: int, confidence: float) -> torch.Tensor:
    rows = torch.zeros(BATCH, ADVICE_SIZE)
    rows[:, action] = 1.0
    rows[:, 3] = confidence
    return rows


def test_fused_logits_have_the_shape_of_the_policys() -> None:
    fusion = Fusion()
    risk = torch.randn(BATCH, ACCOUNT_SIZE)
    fused = fusion(torch.randn(BATCH, NUM_ACTIONS), advised(BUY, 0.5), risk)
    assert fused.shape == (BATCH, NUM_ACTIONS)
    assert fusion.last_trust is not None
    assert fusion.last_trust.shape == (BATCH, 2)
    assert ((fusion.last_trust > 0) & (fusion.last_trust < 1)).all()


@pytest.mark.parametrize("action", [BUY, SELL])
def test_at_first_advice_speaks_for_the_action_it_names(action: int) -> None:
    fusion = Fusion()
    fusion.start_open_minded()
    logits, risk = torch.zeros(BATCH, NUM_ACTIONS), torch.zeros(BATCH, ACCOUNT_SIZE)
    with torch.no_grad():
        sure, unsure = (fusion(logits, advised(action, c), risk)[0] for c in (0.9, 0.1))
    assert sure.argmax() == action
    assert sure[action] > unsure[action] > 0


def test_advice_without_confidence_weighs_nothing_at_first() -> None:
    fusion = Fusion()
    fusion.start_open_minded()
    logits, risk = torch.zeros(BATCH, NUM_ACTIONS), torch.zeros(BATCH, ACCOUNT_SIZE)
    with torch.no_grad():
        assert not fusion(logits, advised(BUY, 0.0), risk).any()


def test_no_forbidden_action_is_ever_taken(policy: HybridPolicy) -> None:
    masks = np.zeros((1000, NUM_ACTIONS), bool)
    masks[:, [0, 4]] = True
    actions, values, log_probs = policy(torch.randn(1000, SIZE), action_masks=masks)
    assert set(actions.tolist()) == {0, 4}
    assert values.shape == (1000, 1)
    assert torch.isfinite(log_probs).all()


def test_the_fusion_is_trained_with_the_policy(policy: HybridPolicy) -> None:
    optimised = {id(p) for group in policy.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in policy.fusion.parameters()} <= optimised
    observations = torch.randn(64, SIZE)
    before = [parameter.clone() for parameter in policy.fusion.parameters()]
    for _ in range(2):  # correction and trust start at zero, and hold back gradients once
        actions = torch.zeros(64, dtype=torch.long)
        _, log_probs, _ = policy.evaluate_actions(observations, actions)
        policy.optimizer.zero_grad()
        (-log_probs.mean()).backward()
        policy.optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, policy.fusion.parameters(), strict=True)]
    assert all(moved)


def test_the_actor_sees_advice_through_the_fusion_alone(policy: HybridPolicy) -> None:
    observations = torch.randn(BATCH, SIZE)
    changed = observations.clone()
    changed[:, OBSERVATION_SIZE:] = torch.randn(BATCH, ADVICE_SIZE)
    first, second = (policy.mlp_extractor(rows)[0] for rows in (observations, changed))
    own = slice(0, -(ACCOUNT_SIZE + ADVICE_SIZE))
    assert torch.equal(first[:, own], second[:, own])
