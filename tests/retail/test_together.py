"""Rows that come at once are written together; what that is worth to whom, tests/retail/wecom/test_lane.py tells."""

import threading

import pytest

from retail import together


@pytest.mark.django_db
def test_who_is_in_a_transaction_writes_alone_and_waits_for_nobody():
    """What may yet be rolled back is promised to nobody else, and nobody else's row is waited for."""
    begun, go_on = threading.Event(), threading.Event()
    batches = []

    def commit(rows):
        batches.append(rows)
        if rows == ["slow"]:
            begun.set()
            go_on.wait()
        if "bad" in rows:
            raise ValueError("it is bad")

    line = together.Line(commit)
    writers = [threading.Thread(target=line.write, args=["slow"])]
    writers[0].start()
    begun.wait()
    line.write("within a transaction")
    writers += [threading.Thread(target=line.write, args=[name]) for name in ("one", "two")]
    for writer in writers[1:]:
        writer.start()
    with pytest.raises(together.Away) as raised:
        line.write("bad")
    go_on.set()
    for writer in writers:
        writer.join()
    assert str(raised.value.__cause__) == "it is bad"
    assert batches[:3] == [["slow"], ["within a transaction"], ["bad"]]
    assert sorted(row for batch in batches[3:] for row in batch) == ["one", "two"]
