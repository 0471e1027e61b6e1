"""One index less to write with each callback."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wecom", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="message",
            name="app",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="messages",
                to="wecom.app",
                verbose_name="应用",
            ),
        ),
    ]
