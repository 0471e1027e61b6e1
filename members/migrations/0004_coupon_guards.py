"""What happened to a coupon is history."""

from django.db import migrations

from retail.guards import append_only


class Migration(migrations.Migration):
    dependencies = [("members", "0003_points_guards")]

    operations = [append_only("members_couponmove")]
