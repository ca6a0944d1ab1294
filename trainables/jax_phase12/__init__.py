"""Phase 1 (entries) and Phase 2 (position management): JAX PPO on futures bars."""
