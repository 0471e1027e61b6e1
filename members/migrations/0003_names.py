"""A Chinese name for what had none."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('members', '0002_stop'),
    ]

    operations = [
        migrations.AlterField(
            model_name='member',
            name='merged_into',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='absorbed', to='members.member', verbose_name='已并入'),
        ),
    ]
