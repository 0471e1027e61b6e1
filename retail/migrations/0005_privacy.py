"""Erased identities, the permission to see a number whole, and the journal by person and by time."""

from django.conf import settings
from django.db import migrations, models

from retail.guards import append_only


class Migration(migrations.Migration):
    dependencies = [("retail", "0004_identity")]

    operations = [
        migrations.AlterModelOptions(
            name="buyerkey",
            options={"permissions": [("unmask_buyerkey", "查看完整号码")]},
        ),
        migrations.CreateModel(
            name="Suppression",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hmac", models.BinaryField(max_length=32)),
                ("at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("hmac",), name="suppression_once")],
            },
        ),
        append_only("retail_suppression"),
        migrations.AddIndex(
            model_name="auditrow", index=models.Index(fields=["by", "-at"], name="audit_by_person")
        ),
        migrations.AddIndex(model_name="auditrow", index=models.Index(fields=["-at"], name="audit_by_time")),
    ]
