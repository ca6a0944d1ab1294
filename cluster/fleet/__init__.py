"""Rented boxes, each searched by itself over SSH: python -m cluster.fleet"""
