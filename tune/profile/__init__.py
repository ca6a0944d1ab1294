"""Profiles: written by a search, read by training: python -m tune.profile"""
