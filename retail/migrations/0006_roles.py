from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("retail", "0005_privacy")]

    operations = []
