"""Speeds measured on this machine: `python -m tests.bench [--full] [--write] [name …]`.

In every benchmark a limit, a peer and ours take turns, and it is asserted that they give equal results. Absolute
figures do not travel; the ratios do.
"""
