"""Rented boxes, each with a search of its own, over SSH: python -m cluster.fleet"""
