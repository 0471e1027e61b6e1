"""Rows that are history refuse to change, whoever asks: one statement trigger per append-only table."""

from django.db import migrations

from retail.guards import append_only

FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("retail", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION refuse_change()"),
        append_only("retail_orderversion"),
        append_only("retail_refundversion"),
        append_only("retail_auditrow"),
    ]
