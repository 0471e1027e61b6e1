"""One gate to customers: what speaks to them is called by `clerks.outreach.contact` and by nobody else."""

import ast
from pathlib import Path

import pytest
from django.conf import settings

from retail.wecom.endpoints import Endpoints

ROOT = Path(settings.BASE_DIR)
GATE = "clerks/outreach/contact.py"
METHODS = {"send_welcome", "add_msg_template", "remind_groupmsg", "transfer_customer", "resigned_transfer"}
# The same by path: what is put into the outbox, or asked of the gateway without a method.
PATHS = {
    "externalcontact/send_welcome_msg",
    "externalcontact/add_msg_template",
    "externalcontact/remind_groupmsg_send",
    "externalcontact/add_moment_task",
    "externalcontact/transfer_customer",
    "externalcontact/resigned/transfer_customer",
}
SOURCES = sorted(
    path
    for package in ("retail", "members", "commissions", "clerks")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts and "simulator" not in path.parts
)
SPEAKERS = {GATE, "retail/wecom/endpoints.py"}


def test_the_methods_exist() -> None:
    assert set(dir(Endpoints)) >= METHODS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_speaks_to_customers(path: Path) -> None:
    if str(path.relative_to(ROOT)) in SPEAKERS | {"retail/settings.py"}:
        return
    nodes = list(ast.walk(ast.parse(path.read_text())))
    called = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    named = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not called & METHODS
    assert not named & PATHS
