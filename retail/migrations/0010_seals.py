"""Seals over what is append-only (retail.seals); they are append-only themselves."""

from django.db import migrations, models

from retail.guards import append_only


class Migration(migrations.Migration):
    dependencies = [("retail", "0009_brand_rebind")]

    operations = [
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("table", models.CharField(max_length=64)),
                ("up_to", models.BigIntegerField()),
                ("rows", models.BigIntegerField()),
                ("columns", models.TextField()),
                ("digest", models.BinaryField(max_length=32)),
                ("mac", models.BinaryField(max_length=32)),
                ("sealed_at", models.DateTimeField()),
            ],
            options={"verbose_name": "历史记录的封条", "verbose_name_plural": "历史记录的封条"},
        ),
        append_only("retail_seal"),
    ]
