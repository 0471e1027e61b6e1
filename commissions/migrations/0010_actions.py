"""Pay per action and per response: the rates of a version, sealed with it, and every event that was judged by one."""

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

from retail.guards import append_only

# For parts of a version that name it themselves. Not refuse_sealed_content: that one knows its tables by name.
SEALED = """
CREATE FUNCTION refuse_sealed_part() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM commissions_planversion WHERE status NOT IN ('draft', 'tested')
               AND id::text IN (to_jsonb(OLD) ->> 'version_id', to_jsonb(NEW) ->> 'version_id')) THEN
        RAISE EXCEPTION 'this plan version is sealed: copy it to a new draft' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON commissions_actionrate
    FOR EACH ROW EXECUTE FUNCTION refuse_sealed_part()
"""


class Migration(migrations.Migration):

    dependencies = [
        ('commissions', '0009_disputes'),
        ('retail', '0011_two_persons'),
    ]

    operations = [
        migrations.CreateModel(
            name='ActionRate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.CharField(choices=[('register', '招募会员'), ('friend', '加企业微信好友'), ('wake', '唤醒沉睡客户'), ('opened', '素材被打开'), ('coupon', '发的券被用掉'), ('reply', '客户回复')], max_length=16, verbose_name='什么事')),
                ('fen', models.BigIntegerField(verbose_name='每次给（分）')),
                ('once_per', models.CharField(blank=True, choices=[('', '每次都给'), ('customer', '每位顾客一次'), ('customer+day', '每位顾客每天一次'), ('content', '每个素材一次'), ('customer+content', '每位顾客每个素材一次'), ('customer+content+day', '每位顾客每个素材每天一次')], default='customer', max_length=24, verbose_name='怎样算一次')),
                ('daily_cap', models.PositiveIntegerField(blank=True, null=True, verbose_name='每人每天最多几次')),
                ('min_inactive_days', models.PositiveIntegerField(blank=True, null=True, verbose_name='至少多少天没买过')),
                ('budget_fen', models.BigIntegerField(blank=True, null=True, verbose_name='预算（分）')),
                ('budget_from', models.DateField(blank=True, null=True, verbose_name='预算从哪天算起')),
                ('void_days', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='几天内可收回')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='action_rates', to='commissions.planversion', verbose_name='版本')),
            ],
            options={
                'verbose_name': '行为奖励',
                'verbose_name_plural': '行为奖励',
                'ordering': ['version', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='ActionEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(max_length=96, verbose_name='编号')),
                ('type', models.CharField(choices=[('register', '招募会员'), ('friend', '加企业微信好友'), ('wake', '唤醒沉睡客户'), ('opened', '素材被打开'), ('coupon', '发的券被用掉'), ('reply', '客户回复')], max_length=16, verbose_name='什么事')),
                ('customer', models.BigIntegerField(null=True, verbose_name='会员')),
                ('content', models.CharField(blank=True, default='', max_length=64, verbose_name='素材')),
                ('active_days', models.PositiveIntegerField(null=True, verbose_name='距上次购买天数')),
                ('at', models.DateTimeField(verbose_name='时间')),
                ('day', models.DateField(verbose_name='日期')),
                ('fen', models.BigIntegerField(verbose_name='金额')),
                ('reason', models.CharField(blank=True, default='', max_length=24, verbose_name='没有的原因')),
                ('cause', models.CharField(blank=True, choices=[('unfriended', '好友被删除'), ('merged', '和另一位会员是同一个人'), ('returned', '货全退了')], default='', max_length=12, verbose_name='为什么收回')),
                ('judged_at', models.DateTimeField(verbose_name='判定时间')),
                ('brand', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retail.brand', verbose_name='品牌')),
                ('entry', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='commissions.entry', verbose_name='佣金流水')),
                ('of', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='commissions.actionevent', verbose_name='收回哪一笔')),
                ('order', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retail.order', verbose_name='订单')),
                ('payer', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retail.franchisee', verbose_name='付款公司')),
                ('staff', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retail.staff', verbose_name='员工')),
                ('store', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retail.store', verbose_name='门店')),
                ('version', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='commissions.planversion', verbose_name='方案版本')),
                ('rate', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='commissions.actionrate', verbose_name='行为奖励')),
            ],
            options={
                'verbose_name': '行为记录',
                'verbose_name_plural': '行为记录',
            },
        ),
        migrations.AddConstraint(
            model_name='actionrate',
            constraint=models.UniqueConstraint(fields=('version', 'type'), name='action_rate_once', violation_error_message='这个版本里已经有这件事的奖励。'),
        ),
        migrations.AddConstraint(
            model_name='actionrate',
            constraint=models.CheckConstraint(condition=models.Q(('fen__gte', 0), models.Q(('budget_fen', None), ('budget_fen__gte', 0), _connector='OR')), name='action_rate_not_negative', violation_error_message='金额和预算不能是负数。'),
        ),
        migrations.AddConstraint(
            model_name='actionrate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('type', 'wake'), _negated=True), models.Q(('min_inactive_days__gte', 30), ('min_inactive_days__isnull', False)), _connector='OR'), name='action_rate_wakes_sleepers', violation_error_message='唤醒沉睡客户，至少要 30 天没买过。'),
        ),
        migrations.AddIndex(
            model_name='actionevent',
            index=models.Index(fields=['staff', '-at'], name='action_of_staff'),
        ),
        migrations.AddIndex(
            model_name='actionevent',
            index=models.Index(condition=models.Q(('reason', '')), fields=['brand', 'type', 'customer'], name='action_of_customer'),
        ),
        migrations.AddIndex(
            model_name='actionevent',
            index=models.Index(fields=['brand', 'type', 'day'], include=('fen', 'staff'), name='action_of_day'),
        ),
        migrations.AddIndex(
            model_name='actionevent',
            index=models.Index(condition=models.Q(('of__isnull', False)), fields=['of'], name='action_taken_back'),
        ),
        migrations.AddIndex(
            model_name='actionevent',
            index=models.Index(condition=models.Q(('reason', 'budget_spent')), fields=['brand', 'type'], name='action_budget_ended'),
        ),
        migrations.AddIndex(
            model_name='actionevent',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['at'], name='action_at'),
        ),
        migrations.AddConstraint(
            model_name='actionevent',
            constraint=models.UniqueConstraint(fields=('number',), name='action_event_once'),
        ),
        migrations.RunSQL(
            SEALED, "DROP TRIGGER sealed ON commissions_actionrate; DROP FUNCTION refuse_sealed_part()"
        ),
        append_only("commissions_actionevent"),
    ]
