"""The interface between PPO and an environment."""

from typing import Any, Protocol

import jax


class JaxEnvironment(Protocol):
    """One environment, as pure functions; a pytree, so that its arrays are not compiled in.

    An observation and its action mask are made from a view, which is small. The rollout keeps views
    and the minibatches observe them again. That saves memory, and time if observations are large.
    """

    @property
    def num_actions(self) -> int:
        """Number of discrete actions."""

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
