"""The interface between PPO and an environment."""

from typing import Any, Protocol

import jax


class JaxEnvironment(Protocol):
    """One environment, as pure functions; a pytree, so that its arrays are not compiled in.

    A view is the little that an observation and its action mask are made from. The rollout keeps
    views and the minibatches observe them again: memory, and for large observations time, is saved.
    """

    @property
    def num_actions(self) -> int:
        """Size of the discrete action space."""

    def reset(self, key: jax.Array) -> Any:
        """Return a first state."""

    def view(self, state: Any) -> Any:
        """Return the state's view, a pytree."""

    def observe(self, view: Any) -> jax.Array:
        """[observation_size] float32."""

    def action_mask(self, view: Any) -> jax.Array:
        """[num_actions] bool, True where the action is allowed; at least one is."""

    def step(
        self, key: jax.Array, state: Any, action: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        """Return the next state (already reset if the episode ended), reward and done."""
