"""What a tree collects when nobody looks: unused templates, inline scripts, pending migrations, unset words."""

import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PACKAGES = ("retail", "members", "commissions", "clerks")
# Found by Django or the admin under these names, without anybody naming them.
FOUND_BY_NAME = re.compile(r"^(400|403|403_csrf|404|500)\.html$|^admin/|^unfold/")


@pytest.mark.django_db
def test_no_migration_is_pending():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_every_template_is_used():
    code = "\n".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    markup = "\n".join(path.read_text() for path in TEMPLATES)
    names = {str(path.relative_to(ROOT / "templates")) for path in TEMPLATES}
    unused = {name for name in names if not FOUND_BY_NAME.match(name) and name not in code + markup}
    assert unused == set()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_inline_script_or_style(path):
    """A strict content security policy stays possible: scripts and styles are files."""
    markup = path.read_text()
    scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", markup, flags=re.S)
    assert not [body for attributes, body in scripts if body.strip() and "application/json" not in attributes]
    assert not re.findall(r"<style\b", markup)
    assert not re.findall(r"<[a-z][^>]*\s(on[a-z]+|style)=", markup)
    assert "javascript:" not in markup


def test_every_environment_variable_is_documented():
    used = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "retail" / "settings.py").read_text()))
    documented = (ROOT / "docs" / "settings.md").read_text()
    assert {name for name in used if f"`{name}`" not in documented} == set()


def test_nothing_of_this_machine_is_committed():
    """No addresses in the lock file, no paths of anybody's machine."""
    lock = (ROOT / "constraints.txt").read_text()
    assert "://" not in lock
    assert " @ " not in lock
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    texts = [
        ROOT / name for name in listed.stdout.split("\0") if name.endswith((".py", ".md", ".toml", ".html", ".js"))
    ]
    machine = re.compile("/ho" + r"me/[a-z]|/ro" + r"ot/|/wo" + "rk/")
    assert [path for path in texts if path.exists() and machine.search(path.read_text())] == []


def test_figures_of_money_are_never_floats():
    """Money is integer fen everywhere: no float or decimal column exists."""
    from django.apps import apps
    from django.db import models

    floats = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in PACKAGES
        for field in model._meta.get_fields()
        if isinstance(field, models.FloatField | models.DecimalField)
    ]
    assert floats == []
