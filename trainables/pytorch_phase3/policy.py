"""The hybrid policy: a network of its own, and a small one that fuses it with advice.

Stable-Baselines3 names are kept (`mlp_extractor`, `action_net`): the fusion takes the place of the
last linear layer of a maskable actor-critic, so masks, sampling and the PPO update are theirs.
"""

from typing import Any

import torch
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from torch import nn

from trainables.pytorch_phase3.advisor import ADVICE_SIZE
from trainables.pytorch_phase3.market_env import (
    ACCOUNT_SIZE,
    MARKET_SIZE,
    NUM_ACTIONS,
    OBSERVATION_SIZE,
)

HIDDEN_SIZES = (256, 256)
_FUSION_SIZE = 32
_NUM_ADVISED = 3  # hold, buy, sell: the first actions, and the first features of advice


class Fusion(nn.Module):  # type: ignore[misc]
    """Fusion of policy logits, advice with its confidence, and risk features to new logits.

    Two trust heads, each 0 to 1, weigh the policy's own logits and the advice; a correction is
    added. Advice that is not there, or has no confidence, adds nothing through its trust head.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(NUM_ACTIONS + ADVICE_SIZE + ACCOUNT_SIZE, _FUSION_SIZE)
        self.trust = nn.Linear(_FUSION_SIZE, 2)
        self.correction = nn.Linear(_FUSION_SIZE, NUM_ACTIONS)
        self.advised_logits = nn.Linear(_NUM_ADVISED, NUM_ACTIONS, bias=False)
        self.last_trust: torch.Tensor | None = None

    def start_open_minded(self) -> None:
        """Start with trust 0.5 in both, advice that favours the action it names, no correction.

        Call it after the policy has initialised all layers alike, which would make this one mute.
        """
        nn.init.orthogonal_(self.hidden.weight, gain=2**0.5)
        for layer in (self.trust, self.correction):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.advised_logits.weight.copy_(torch.eye(NUM_ACTIONS, _NUM_ADVISED))

    def forward(
        self, logits: torch.Tensor, advice: torch.Tensor, risk: torch.Tensor
    ) -> torch.Tensor:
        """Return the fused logits.

        Args:
            logits: [batch, NUM_ACTIONS] the policy's own.
            advice: [batch, ADVICE_SIZE] see `advisor.ADVICE_SIZE`.
            risk: [batch, ACCOUNT_SIZE] see `market_env.ACCOUNT_SIZE`.

        Returns:
            [batch, NUM_ACTIONS] fused logits.
        """
        hidden = torch.tanh(self.hidden(torch.cat([logits, advice, risk], dim=1)))
        trust = torch.sigmoid(self.trust(hidden))
        self.last_trust = trust.detach()
        confidence = advice[:, _NUM_ADVISED : _NUM_ADVISED + 1]
        advised = confidence * self.advised_logits(advice[:, :_NUM_ADVISED])
        return trust[:, :1] * logits + trust[:, 1:] * advised + self.correction(hidden)


class _Head(nn.Module):  # type: ignore[misc]
    """Network from [batch, hidden + account + advice] to [batch, NUM_ACTIONS] fused logits."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.own = nn.Linear(hidden_size, NUM_ACTIONS)
        self.fusion = Fusion()

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        sizes = [self.own.in_features, ACCOUNT_SIZE, ADVICE_SIZE]
        hidden, risk, advice = latent.split(sizes, dim=1)
        return self.fusion(self.own(hidden), advice, risk)


class _Body(nn.Module):  # type: ignore[misc]
    """Actor and critic networks. The actor sees no advice; the fusion adds it."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = _mlp(OBSERVATION_SIZE)
        self.critic = _mlp(OBSERVATION_SIZE + ADVICE_SIZE)
        self.latent_dim_pi = HIDDEN_SIZES[-1]
        self.latent_dim_vf = HIDDEN_SIZES[-1]

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        own = self.actor(features[:, :OBSERVATION_SIZE])
        return torch.cat([own, features[:, MARKET_SIZE:]], dim=1)

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        return self.critic(features)


class _FusedCategorical(MaskableCategoricalDistribution):  # type: ignore[misc]
    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        return _Head(latent_dim)


class HybridPolicy(MaskableActorCriticPolicy):  # type: ignore[misc]
    """A maskable actor-critic whose logits are fused with advice, which observations must hold."""

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor: Any = _Body()

    def _build(self, lr_schedule: Any) -> None:
        self.action_dist = _FusedCategorical(NUM_ACTIONS)
        super()._build(lr_schedule)
        self.fusion.start_open_minded()

    @property
    def fusion(self) -> Fusion:
        """The fusion network."""
        head: _Head = self.action_net
        return head.fusion


def _mlp(size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden_size in HIDDEN_SIZES:
        layers += [nn.Linear(size, hidden_size), nn.Tanh()]
        size = hidden_size
    return nn.Sequential(*layers)
