import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0003_refund_trouble'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='staff',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='api_tokens', to='retail.staff', verbose_name='持有人'),
        ),
        migrations.AddField(
            model_name='user',
            name='session_epoch',
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name='登录批次'),
        ),
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=64, verbose_name='事项')),
                ('target_type', models.CharField(max_length=64, verbose_name='对象')),
                ('target_id', models.CharField(max_length=64, verbose_name='编号')),
                ('payload', models.JSONField(default=dict, editable=False)),
                ('before', models.JSONField(default=dict, verbose_name='之前')),
                ('after', models.JSONField(default=dict, verbose_name='之后')),
                ('reason', models.TextField(blank=True, default='', verbose_name='原因')),
                ('state', models.CharField(choices=[('waiting', '等待'), ('approved', '已同意'), ('refused', '未同意'), ('expired', '已过期')], default='waiting', max_length=8, verbose_name='状态')),
                ('asked_at', models.DateTimeField(verbose_name='提出时间')),
                ('expires_at', models.DateTimeField(verbose_name='有效到')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='决定时间')),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='谁提出')),
                ('brand', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.brand')),
                ('concerns', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='谁决定')),
                ('store', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.store')),
            ],
            options={
                'verbose_name': '双人审批',
                'verbose_name_plural': '双人审批',
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('kind', 'target_type', 'target_id'), name='approval_waits_once'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('state__in', ['waiting', 'expired'])), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), ('state__in', ['approved', 'refused']), models.Q(('decided_by', models.F('asked_by')), _negated=True)), _connector='OR'), name='approval_decided_by_another', violation_error_message='提出的人不能自己决定。')],
            },
        ),
    ]
