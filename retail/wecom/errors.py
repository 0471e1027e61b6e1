"""What can come of asking WeCom something. Every error says which interface, and nothing secret.

Those one waits out are `jobs.Later` besides: raised within a job they make it due again without costing an attempt.
"""

from datetime import datetime

from retail import jobs


class WeComError(Exception):
    """WeCom said no. `errcode` is its code, `errmsg` the first part of its words."""

    def __init__(self, errcode: int, errmsg: str, path: str) -> None:
        Exception.__init__(self, f"{path}: {errcode} {errmsg}".rstrip())
        self.errcode, self.errmsg, self.path = errcode, errmsg, path


class Rejected(WeComError):
    """An answer about the matter itself (no such customer, too often, not left): asking again changes nothing."""


class Misconfigured(WeComError):
    """Somebody must change a secret, a trusted address or a permission; until then asking again is of no use."""


class Waiting(WeComError, jobs.Later):
    """Not now, but at `until`."""

    def __init__(self, errcode: int, errmsg: str, path: str, *, until: datetime) -> None:
        WeComError.__init__(self, errcode, errmsg, path)
        self.until = until


class Busy(Waiting):
    """WeCom is busy with this or with us."""


class Limited(Waiting):
    """A quota is used up: WeCom said so, or our own limiter before it came to that."""


class Unreachable(Waiting):
    """No answer, or none that is WeCom's. `may_have_worked`: it was sent, so it may have been carried out."""

    def __init__(self, errmsg: str, path: str, *, until: datetime, may_have_worked: bool = True) -> None:
        super().__init__(0, errmsg, path, until=until)
        self.may_have_worked = may_have_worked


class Paused(Waiting):
    """Not even tried: WeCom did not answer the last times (the breaker is open)."""

    def __init__(self, path: str, *, until: datetime) -> None:
        super().__init__(0, "paused", path, until=until)


class SwitchedOff(Waiting):
    """Not even tried: somebody has switched the application off."""

    def __init__(self, path: str, *, until: datetime) -> None:
        super().__init__(0, "the application is switched off", path, until=until)


EXPIRED = frozenset({40014, 42001})  # the token: get another, once
BUSY = frozenset({-1, 6000, 45033, 41063, 41079, 41096})
LIMITED = 45009
MISCONFIGURED = frozenset(
    {40001, 40013, 40014, 40056, 40091, 41001, 42001, 48001, 48002, 48003, 50001, 50003, 60011, 60020, 301002}
)
