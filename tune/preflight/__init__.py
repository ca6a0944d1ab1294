"""The limits of this machine, and the verdict on them: python -m tune.preflight"""
