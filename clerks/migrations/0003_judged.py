"""Which relations claims have made, and may therefore unmake; which full sync was the first of a corp."""

from django.db import migrations, models

_JUDGED = """
UPDATE clerks_binding b SET is_judged = true
WHERE b.source IN ('contact_code', 'takeover') AND EXISTS (
    SELECT 1 FROM clerks_friendmove m JOIN clerks_friend f ON f.id = m.friend_id
    WHERE m.kind = 'added' AND m.at = b.started_at AND f.staff_id = b.staff_id AND f.member_id = b.member_id)
"""

_BEGUN = """
UPDATE clerks_contactway SET began_at = now() - interval '80 days' WHERE config_id = '' AND wanted = '["?"]'
"""


class Migration(migrations.Migration):
    dependencies = [("clerks", "0002_outreach")]

    operations = [
        migrations.AddField(
            model_name="binding",
            name="is_judged",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="syncrun",
            name="is_first",
            field=models.BooleanField(db_default=False, default=False, verbose_name="首次"),
        ),
        migrations.AddField(
            model_name="contactway",
            name="began_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="contactway", name="qr_image", field=models.BinaryField(editable=False, null=True)
        ),
        migrations.AlterField(
            model_name="shift",
            name="weekdays",
            field=models.CharField(default="1234567", max_length=7, verbose_name="星期"),
        ),
        migrations.RunSQL(_BEGUN, migrations.RunSQL.noop),
        migrations.RunSQL(_JUDGED, migrations.RunSQL.noop),
    ]
