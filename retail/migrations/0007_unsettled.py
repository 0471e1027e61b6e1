"""What waits to be settled is found by an index: new orders and corrected ones alike."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("retail", "0006_roles")]

    operations = [
        migrations.RemoveIndex(model_name="order", name="order_unsettled"),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["id"], name="order_unsettled", condition=~Q(settled_version=F("version"))),
        ),
    ]
