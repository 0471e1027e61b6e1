"""The demo: a made-up retail group, the same on every machine, and the orders that keep it moving."""
