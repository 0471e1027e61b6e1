"""The people behind the doors of the demo. Plain data: the page of doors and the demo command read it."""

from typing import NamedTuple

PASSWORD = "daogou-demo"  # of a demo that listens on this machine only


class Login(NamedTuple):
    """One way in. `role` is that of the person's post ("admin" for the superuser, who has none)."""

    role: str
    label: str
    username: str
    password: str
    landing: str


def _login(role: str, label: str, username: str, landing: str = "/admin/") -> Login:
    return Login(role, label, username, PASSWORD, landing)


CLERK = _login("clerk", "导购", "clerk", "/m/")
FRANCHISE_CLERK = _login("clerk", "加盟店导购", "clerk2", "/m/")
STORE_MANAGER = _login("store_manager", "店长", "store")
REGION_MANAGER = _login("region_manager", "区域经理", "region")
FRANCHISE_OWNER = _login("franchise_owner", "加盟商", "franchise")
HQ_OPS = _login("hq_ops", "总部运营", "hq")
HQ_FINANCE = _login("hq_finance", "总部财务", "finance")
AUDITOR = _login("auditor", "审计", "auditor")
ADMIN = _login("admin", "系统管理员", "admin")

LOGINS = [
    CLERK,
    FRANCHISE_CLERK,
    STORE_MANAGER,
    REGION_MANAGER,
    FRANCHISE_OWNER,
    HQ_OPS,
    HQ_FINANCE,
    AUDITOR,
    ADMIN,
]
