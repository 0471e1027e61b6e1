"""The house keeps its direction: imports, foreign keys, no hidden calls."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

from retail.scope import Scoped

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("retail", "members", "commissions", "clerks")
APP_LEVEL = {"wecom": -1, "retail": 0, "members": 1, "commissions": 1, "clerks": 2, "materials": 3, "leads": 4}


def sources() -> list[Path]:
    """The product's own Python files, without migrations."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path for path in files if "migrations" not in path.parts]


def test_imports_go_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]


def test_every_module_stands_in_the_layer_list():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    listed = {name.strip(" ()") for layer in layers for part in layer.split("|") for name in part.split(":")}
    modules = {
        f"{package}.{path.stem}"
        for package in PACKAGES
        for path in (ROOT / package).iterdir()
        if path.stem not in ("__init__", "__pycache__", "migrations", "locale")
        and (path.suffix == ".py" or path.is_dir())
    }
    assert {module for module in modules if module.partition(".")[0] not in listed} <= listed


def test_foreign_keys_point_to_their_own_or_a_lower_room():
    wrong = [
        f"{model._meta.label}.{field.name} → {field.related_model._meta.label}"
        for model in apps.get_models()
        if model._meta.app_label in APP_LEVEL
        for field in model._meta.get_fields()
        if field.concrete and field.is_relation and field.related_model._meta.app_label in APP_LEVEL
        if model._meta.app_label != field.related_model._meta.app_label
        if APP_LEVEL[model._meta.app_label] <= APP_LEVEL[field.related_model._meta.app_label]
    ]
    assert wrong == []


# Rows that hang on no store, or are read only through something that does.
UNSCOPED = {
    "retail.User": "a sign-in; the admin page of users limits itself by role",
    "retail.Employment": "read through its Staff",
    "retail.Post": "what a scope is made of, so it is read before there is one; lists apply its scope_paths",
    "retail.BuyerKey": "opaque values, read through the rows that hold their ids",
    "retail.Suppression": "blind indexes of erased values, found by the value only",
    "retail.Seal": "sums over history, shown to nobody",
    "retail.Job": "work of the whole installation, shown to headquarters only",
    "retail.ApiToken": "what a scope of the API is made of",
    "retail.ApiCall": "stored answers, found by their token only",
    "members.Behind": "work of the whole installation, shown to nobody",
    "members.SegmentMember": "who is in a segment, read through it and narrowed by the scope of memberships",
    "members.SegmentMove": "likewise",
    "members.SegmentSize": "how many there were, shown to headquarters only",
    "clerks.CorpTag": "names of a corp's tags, shown to headquarters only",
    "clerks.Department": "a corp's address book, shown to headquarters only",
    "clerks.MergeMove": "what a merge moved, read through it",
    "clerks.Rival": "who ties for a member, read through the tie",
    "clerks.SyncRun": "how a comparison of a whole corp went, shown to headquarters only",
    "materials.PosterPicture": "pictures by a hash of what they show, asked for by who may see that",
    "materials.UploadedFile": "a file on its way in, read through its upload",
    "materials.Visitor": "browsers that opened links, read through the openings",
    "wecom.App": "who the installation is to WeCom, shown to headquarters only",
    "wecom.Credential": "sealed, shown to nobody",
    "wecom.FormerKey": "sealed, shown to nobody",
    "wecom.Media": "files for the customers of a corp, shown to headquarters only",
    "wecom.MediaContent": "what is in them, likewise",
    "wecom.Message": "what came in, for the whole installation; headquarters sees its kind and outcome, not its text",
    "wecom.Call": "what went out, likewise",
    "wecom.Use": "counts",
    "wecom.Valve": "how fast WeCom may be asked, read by the gateway only",
}


def test_every_model_is_scoped_or_says_why_not():
    unscoped = {
        model._meta.label
        for model in apps.get_models()
        if model._meta.app_label in APP_LEVEL and not issubclass(model, Scoped) and not model._meta.auto_created
    }
    assert unscoped == set(UNSCOPED)


# Where the process is put together: the schedule's rows, the worker, the demo's worker, the launcher's sockets.
COMPOSITION = {
    *("retail/apps.py", "retail/celery.py", "retail/embedded.py"),
    "retail/management/commands/demo.py",
}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_hidden_calls(path):
    """Signals hide who calls whom."""
    tree = ast.parse(path.read_text())
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    if str(path.relative_to(ROOT)) not in COMPOSITION:
        assert not [name for name in names if name.endswith(".connect")]
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert "django.dispatch" not in modules  # where the decorator `receiver` comes from


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_domain_reads_no_clock(path):
    """`now=` is passed in; views, commands and tasks are where it is read."""
    parts = path.relative_to(ROOT).parts
    edges = {
        "pages",
        "api",
        "desk",
        "demo",
        "imports",
        "management",
        "admin.py",
        "points_admin.py",
        "tiers_admin.py",
        "issue_pages.py",
        "stop_pages.py",
        "admin",
        "scoped_admin.py",
        "masked.py",
        "exports.py",
        "gate.py",
        "tasks.py",
        "jobs.py",
        "embedded.py",
        "health.py",
        "gateway.py",
        "webhook.py",
    }
    if not edges & set(parts):
        names = {
            ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        assert not names & {"datetime.now", "time.time", "timezone.now", "date.today", "timezone.localdate"}
