"""What a full sync does not get to see is counted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clerks", "0003_judged")]

    operations = [
        migrations.AddField(
            model_name="syncrun",
            name="unseen",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="看不到的"),
        )
    ]
