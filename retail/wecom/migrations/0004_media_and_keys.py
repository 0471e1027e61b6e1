"""Files for customers; each key of an application by itself; what an outage needs to know."""

import django.db.models.deletion
import retail.privacy
from django.db import migrations, models


# The pairs that still hold; their inserts are checked before the table they came from changes.
_KEEP_FORMER = """
INSERT INTO wecom_formerkey (app_id, part, sealed, until)
SELECT id, 'token', sealed_previous_token, previous_until FROM wecom_app
WHERE sealed_previous_token IS NOT NULL AND previous_until > now()
UNION ALL
SELECT id, 'aes_key', sealed_previous_aes_key, previous_until FROM wecom_app
WHERE sealed_previous_aes_key IS NOT NULL AND previous_until > now();
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('wecom', '0003_names'),
    ]

    operations = [
        migrations.CreateModel(
            name='Media',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('corp_id', models.CharField(max_length=64, verbose_name='企业 ID')),
                ('kind', models.CharField(choices=[('image', '图片'), ('video', '视频'), ('file', '文件')], max_length=8, verbose_name='类型')),
                ('name', models.CharField(max_length=128, verbose_name='文件名')),
                ('size', models.PositiveIntegerField(verbose_name='大小')),
                ('is_active', models.BooleanField(default=True, verbose_name='启用')),
                ('made_at', models.DateTimeField(verbose_name='创建')),
                ('media_id', models.CharField(blank=True, default='', max_length=128)),
                ('uploaded_at', models.DateTimeField(blank=True, null=True, verbose_name='上次上传')),
                ('trouble', models.CharField(blank=True, default='', max_length=200, verbose_name='问题')),
            ],
            options={
                'verbose_name': '素材',
                'verbose_name_plural': '素材',
            },
        ),
        migrations.CreateModel(
            name='FormerKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('part', models.CharField(choices=[('token', 'Token'), ('aes_key', 'EncodingAESKey')], max_length=8, verbose_name='种类')),
                ('sealed', retail.privacy.SealedField()),
                ('until', models.DateTimeField(verbose_name='有效到')),
                ('app', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='former_keys', to='wecom.app', verbose_name='应用')),
            ],
            options={
                'verbose_name': '旧密钥',
                'verbose_name_plural': '旧密钥',
            },
        ),
        migrations.RunSQL(_KEEP_FORMER, reverse_sql=migrations.RunSQL.noop),
        migrations.RemoveField(
            model_name='app',
            name='previous_until',
        ),
        migrations.RemoveField(
            model_name='app',
            name='sealed_previous_aes_key',
        ),
        migrations.RemoveField(
            model_name='app',
            name='sealed_previous_token',
        ),
        migrations.AddField(
            model_name='app',
            name='base_url',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='接口地址'),
        ),
        migrations.AddField(
            model_name='call',
            name='good_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='最晚发送'),
        ),
        migrations.AddField(
            model_name='call',
            name='reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='原因'),
        ),
        migrations.AddField(
            model_name='use',
            name='last_at',
            field=models.DateTimeField(null=True, verbose_name='最近一次'),
        ),
        migrations.AlterField(
            model_name='call',
            name='state',
            field=models.CharField(choices=[('waiting', '待发送'), ('sending', '发送中'), ('sent', '已发送'), ('unknown', '结果不明'), ('failed', '失败'), ('dropped', '过时没发')], default='waiting', max_length=8, verbose_name='状态'),
        ),
        migrations.CreateModel(
            name='MediaContent',
            fields=[
                ('media', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='content', serialize=False, to='wecom.media', verbose_name='素材')),
                ('data', models.BinaryField(verbose_name='内容')),
            ],
            options={
                'verbose_name': '素材内容',
                'verbose_name_plural': '素材内容',
            },
        ),
    ]
