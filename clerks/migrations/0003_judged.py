"""Which relations claims have made, and may therefore unmake."""

from django.db import migrations, models

_JUDGED = """
UPDATE clerks_binding b SET is_judged = true
WHERE b.source IN ('contact_code', 'takeover') AND EXISTS (
    SELECT 1 FROM clerks_friendmove m JOIN clerks_friend f ON f.id = m.friend_id
    WHERE m.kind = 'added' AND m.at = b.started_at AND f.staff_id = b.staff_id AND f.member_id = b.member_id)
"""


class Migration(migrations.Migration):
    dependencies = [("clerks", "0002_outreach")]

    operations = [
        migrations.AddField(
            model_name="binding",
            name="is_judged",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.RunSQL(_JUDGED, migrations.RunSQL.noop),
    ]
