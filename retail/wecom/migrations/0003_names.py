"""A Chinese name for what had none."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('wecom', '0002_message_index'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='valve',
            options={'verbose_name': '接口限速', 'verbose_name_plural': '接口限速'},
        ),
    ]
