"""What members agreed to is never changed: see retail.guards."""

from django.db import migrations

from retail.guards import append_only


class Migration(migrations.Migration):
    dependencies = [("members", "0004_coupon_guards"), ("retail", "0002_guards")]

    operations = [append_only("members_consent")]
