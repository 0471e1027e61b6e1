"""What people do: customers, clerks and the administrator. Only this causes callbacks.

Each act declares its parameters as endpoints do. It changes the records, tells the apps, and returns what the
person at the phone would see.
"""

from typing import Any

from retail.wecom.simulator.acts.chats import Chats
from retail.wecom.simulator.acts.clerk import Clerk
from retail.wecom.simulator.acts.friends import Friends
from retail.wecom.simulator.acts.office import Office
from retail.wecom.simulator.acts.telling import ACTS, Told
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import read
from retail.wecom.simulator.world import Corp


class Acts(Friends, Clerk, Chats, Office):
    def do(self, name: str, corp: Corp, given: dict[str, Any]) -> Told:
        """Raises Refused for an unknown act, for parameters that do not fit, and for what cannot be done."""
        if name not in ACTS:
            raise Refused(40058, f"no such act: {name}")
        run, shapes = ACTS[name]
        parameters = read(shapes, given)
        self._world.catch_up()
        with self._world.lock:
            self._world.keep_stale(corp)
            return run(self, corp, **parameters)
