"""Phase 3: a masked PPO policy in PyTorch that is advised by a language model."""
