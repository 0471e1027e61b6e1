from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("retail", "0003_refund_trouble")]

    operations = []
