"""Every index is paid for with each row that is written."""

import pytest
from django.apps import apps
from django.db import connection

OURS = ("retail", "wecom", "members", "commissions", "clerks", "leads", "materials")
# Plain indexes on one column that another index of their table begins with.
_NEEDLESS = """
SELECT one.indexrelid::regclass::text FROM pg_index one JOIN pg_index other USING (indrelid)
JOIN pg_class kind ON kind.oid = other.indexrelid
WHERE one.indrelid::regclass::text = ANY(%s) AND one.indnatts = 1 AND NOT one.indisunique AND one.indpred IS NULL
    AND one.indexprs IS NULL AND one.indexrelid <> other.indexrelid AND one.indkey[0] = other.indkey[0]
    AND other.indpred IS NULL AND other.indexprs IS NULL
    AND kind.relam = (SELECT relam FROM pg_class WHERE oid = one.indexrelid)
    AND (SELECT opcname FROM pg_opclass WHERE oid = one.indclass[0]) NOT LIKE '%%pattern%%'
    AND (SELECT opcname FROM pg_opclass WHERE oid = other.indclass[0]) NOT LIKE '%%pattern%%'
ORDER BY 1
"""


@pytest.mark.django_db
def test_no_index_is_the_beginning_of_another():
    """`db_index=False` at a foreign key whose column an index or a constraint of its model begins with."""
    models = [model for app in OURS for model in apps.get_app_config(app).get_models()]
    with connection.cursor() as cursor:
        cursor.execute(_NEEDLESS, [[model._meta.db_table for model in models]])
        assert [name for (name,) in cursor.fetchall()] == []
