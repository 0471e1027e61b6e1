"""Bringing in whole files: the CSV form of the feed, and the real purchases the product is tried on.

`table` reads, `feed` takes the rows down in batches and can go on where it was stopped, `orders` and `refunds` say
what the columns mean, `missing` makes what a first import does not know yet. `journey` is the real data set, `proof`
checks what was booked for it.
"""
