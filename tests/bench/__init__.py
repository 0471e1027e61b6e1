"""Speeds measured on this machine: `python -m tests.bench [--full] [--write] [name …]`.

Every benchmark interleaves a limit, a peer and ours in one process after asserting that they give equal results.
Absolute figures do not travel; the ratios do.
"""
