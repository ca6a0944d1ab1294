"""The report of a search, for a browser: python -m tune.report"""
