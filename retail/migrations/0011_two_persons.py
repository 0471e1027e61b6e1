"""Exported files that take two persons, the answer to an approval, and Chinese names for what had none.

A row of exported files is there only for its person (docs/adr/0010), and the journal keeps no masks of numbers any
more: it can never be changed, but somebody may ask to be forgotten.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
import retail.privacy
from django.conf import settings
from django.db import migrations, models


OWN = """
CREATE POLICY of_person ON retail_exportfile USING (
    current_user = 'daogou_job' OR asked_by_id = nullif(current_setting('daogou.person', true), '')::bigint
);
ALTER TABLE retail_exportfile ENABLE ROW LEVEL SECURITY
"""
ANYBODYS = """
ALTER TABLE retail_exportfile DISABLE ROW LEVEL SECURITY;
DROP POLICY of_person ON retail_exportfile
"""
NO_MASKS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM retail_auditrow WHERE action = 'unmask' AND after ? 'masked') THEN
        ALTER TABLE retail_auditrow DISABLE TRIGGER USER;
        UPDATE retail_auditrow SET after = after - 'masked' WHERE action = 'unmask';
        ALTER TABLE retail_auditrow ENABLE TRIGGER USER;
    END IF;
END $$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('retail', '0010_seals'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='apicall',
            options={'verbose_name': '接口应答', 'verbose_name_plural': '接口应答'},
        ),
        migrations.AlterModelOptions(
            name='buyerkey',
            options={'permissions': [('unmask_buyerkey', '查看完整号码')], 'verbose_name': '顾客标识', 'verbose_name_plural': '顾客标识'},
        ),
        migrations.AlterModelOptions(
            name='suppression',
            options={'verbose_name': '已抹去的标识', 'verbose_name_plural': '已抹去的标识'},
        ),
        migrations.AddField(
            model_name='approval',
            name='answer',
            field=models.TextField(blank=True, default='', verbose_name='答复'),
        ),
        migrations.AlterField(
            model_name='apicall',
            name='answer',
            field=models.BinaryField(verbose_name='应答'),
        ),
        migrations.AlterField(
            model_name='apicall',
            name='created_at',
            field=models.DateTimeField(verbose_name='时间'),
        ),
        migrations.AlterField(
            model_name='apicall',
            name='key',
            field=models.CharField(max_length=128, verbose_name='唯一键'),
        ),
        migrations.AlterField(
            model_name='apicall',
            name='request_hash',
            field=models.BinaryField(max_length=32, verbose_name='请求摘要'),
        ),
        migrations.AlterField(
            model_name='apicall',
            name='status',
            field=models.PositiveSmallIntegerField(verbose_name='状态'),
        ),
        migrations.AlterField(
            model_name='apicall',
            name='token',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='retail.apitoken', verbose_name='接口令牌'),
        ),
        migrations.AlterField(
            model_name='apitoken',
            name='digest',
            field=models.CharField(editable=False, max_length=64, unique=True, verbose_name='摘要'),
        ),
        migrations.AlterField(
            model_name='approval',
            name='brand',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.brand', verbose_name='品牌'),
        ),
        migrations.AlterField(
            model_name='approval',
            name='store',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.store', verbose_name='门店'),
        ),
        migrations.AlterField(
            model_name='buyerkey',
            name='cipher',
            field=retail.privacy.SealedField(null=True, verbose_name='密文'),
        ),
        migrations.AlterField(
            model_name='buyerkey',
            name='hmac',
            field=models.BinaryField(max_length=32, verbose_name='索引'),
        ),
        migrations.AlterField(
            model_name='buyerkey',
            name='hmac_last4',
            field=models.BinaryField(max_length=32, verbose_name='后四位索引'),
        ),
        migrations.AlterField(
            model_name='buyerkey',
            name='masked',
            field=models.CharField(max_length=32, verbose_name='号码（已打码）'),
        ),
        migrations.AlterField(
            model_name='buyerkey',
            name='scope',
            field=models.CharField(blank=True, default='', max_length=64, verbose_name='范围'),
        ),
        migrations.AlterField(
            model_name='buyerkey',
            name='type',
            field=models.CharField(choices=[('phone', '手机号'), ('unionid', '微信 unionid'), ('external_userid', '企业微信客户'), ('card', '会员卡号'), ('channel_id', '渠道买家号')], max_length=16, verbose_name='类型'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='at',
            field=models.DateTimeField(verbose_name='时间'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='hmac',
            field=models.BinaryField(max_length=32, verbose_name='索引'),
        ),
        migrations.CreateModel(
            name='ExportFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=64, verbose_name='内容')),
                ('format', models.CharField(choices=[('xlsx', 'Excel'), ('csv', 'CSV')], max_length=4, verbose_name='格式')),
                ('ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), editable=False, size=None, verbose_name='选中的行')),
                ('count', models.PositiveIntegerField(verbose_name='行数')),
                ('filter', models.CharField(blank=True, default='', max_length=500, verbose_name='筛选')),
                ('reason', models.CharField(max_length=200, verbose_name='用途')),
                ('asked_at', models.DateTimeField(verbose_name='提出时间')),
                ('sealed', retail.privacy.SealedField(null=True, verbose_name='文件')),
                ('made_at', models.DateTimeField(null=True, verbose_name='生成时间')),
                ('expires_at', models.DateTimeField(null=True, verbose_name='有效到')),
                ('approval', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.approval', verbose_name='双人审批')),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='谁提出')),
                ('post', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.post', verbose_name='岗位')),
            ],
            options={
                'verbose_name': '导出文件',
                'verbose_name_plural': '导出文件',
                'indexes': [models.Index(fields=['asked_by', '-id'], name='export_of_person')],
            },
        ),
        migrations.RunSQL(OWN, ANYBODYS),
        migrations.RunSQL(NO_MASKS, migrations.RunSQL.noop),
    ]
