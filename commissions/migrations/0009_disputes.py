"""Disputes, pay cycles of any length, what companies owe each other; a statement may be paid in parts."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from retail.guards import append_only

# Its figures never change; who confirms it is known later, once, and what is paid of it only grows.
FIGURES = """
CREATE OR REPLACE FUNCTION refuse_other_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR to_jsonb(NEW) - '{confirmed_at,paid_fen}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{confirmed_at,paid_fen}'::text[]
        OR (OLD.confirmed_at IS NOT NULL AND NEW.confirmed_at IS DISTINCT FROM OLD.confirmed_at)
        OR NEW.paid_fen < OLD.paid_fen THEN
        RAISE EXCEPTION 'statements do not change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""
FIGURES_BEFORE = FIGURES.replace("paid_fen}", "batch_id}").replace(
    "NEW.paid_fen < OLD.paid_fen", "(OLD.batch_id IS NOT NULL AND NEW.batch_id IS DISTINCT FROM OLD.batch_id)"
)
# Batches together never take more of a statement than it owes.
WITHIN = """
CREATE FUNCTION refuse_overpaying() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    over bigint;
BEGIN
    SELECT s.id INTO over FROM public.commissions_statement s
    WHERE s.id IN (SELECT statement_id FROM written) AND s.pay_fen < (
        SELECT sum(p.fen) FROM public.commissions_payout p WHERE p.statement_id = s.id
    ) LIMIT 1;
    IF over IS NOT NULL THEN
        RAISE EXCEPTION 'statement % would be paid more than it owes', over USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER within_statement AFTER INSERT ON commissions_payout
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_overpaying()
"""
# Companies together owe each other nothing.
BALANCED = """
CREATE FUNCTION refuse_unbalanced_companies() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM written GROUP BY order_id, kind HAVING sum(fen) <> 0) THEN
        RAISE EXCEPTION 'what companies owe each other does not add up' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER legs_add_up AFTER INSERT ON commissions_companyleg
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_companies()
"""
# A case is there for good, and is closed once.
CASE = """
CREATE FUNCTION refuse_other_case() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closing text[] := '{closed_at,outcome}';
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'disputes stay' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW IS DISTINCT FROM OLD
            AND (OLD.closed_at IS NOT NULL OR to_jsonb(NEW) - closing <> to_jsonb(OLD) - closing) THEN
        RAISE EXCEPTION 'dispute % stays as it is', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER closed_once BEFORE UPDATE OR DELETE ON commissions_dispute
    FOR EACH ROW EXECUTE FUNCTION refuse_other_case();
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON commissions_dispute
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
# Periods of a brand follow each other without a gap (and without overlap, which is a constraint of the table).
NO_GAP = """
CREATE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    gap bigint;
BEGIN
    SELECT p.brand_id INTO gap FROM public.commissions_period p
    WHERE p.brand_id IN (SELECT brand_id FROM written)
    GROUP BY p.brand_id HAVING sum(p.ends_on - p.starts_on) <> max(p.ends_on) - min(p.starts_on) LIMIT 1;
    IF gap IS NOT NULL THEN
        RAISE EXCEPTION 'a gap between the periods of brand %', gap USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER no_gap AFTER INSERT ON commissions_period
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_gap()
"""


class Migration(migrations.Migration):

    dependencies = [
        ('commissions', '0008_attained'),
        ('retail', '0011_two_persons'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CompanyAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('people', models.PositiveIntegerField(default=0, verbose_name='人数')),
                ('net_fen', models.BigIntegerField(default=0, verbose_name='本期佣金')),
                ('pay_fen', models.BigIntegerField(default=0, verbose_name='应发合计')),
                ('between_fen', models.BigIntegerField(default=0, verbose_name='公司往来')),
                ('terms', models.CharField(choices=[('nothing', '不补，各发各的'), ('recharge', '收款的公司补上这笔佣金'), ('share', '按销售额分成')], default='nothing', max_length=12, verbose_name='别家公司收款的成交')),
                ('ppm', models.PositiveIntegerField(default=0, verbose_name='分成比例')),
                ('made_at', models.DateTimeField(verbose_name='出单时间')),
            ],
            options={
                'verbose_name': '公司结算',
                'verbose_name_plural': '公司结算',
                'ordering': ['-period', 'company'],
            },
        ),
        migrations.CreateModel(
            name='CompanyLeg',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('recharge', '佣金由收款方承担'), ('share', '按销售额分成')], max_length=12, verbose_name='类型')),
                ('fen', models.BigIntegerField(verbose_name='金额')),
                ('made_at', models.DateTimeField(verbose_name='记账')),
            ],
            options={
                'verbose_name': '公司往来',
                'verbose_name_plural': '公司往来',
            },
        ),
        migrations.CreateModel(
            name='Dispute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=300, verbose_name='疑问')),
                ('opened_at', models.DateTimeField(verbose_name='提出时间')),
                ('answer_by', models.DateTimeField(verbose_name='最晚答复')),
                ('closed_at', models.DateTimeField(null=True, verbose_name='答复时间')),
                ('outcome', models.CharField(blank=True, choices=[('explained', '已说明'), ('adjusted', '已调整'), ('withdrawn', '本人撤回')], default='', max_length=12, verbose_name='结果')),
            ],
            options={
                'verbose_name': '异议',
                'verbose_name_plural': '异议',
            },
        ),
        migrations.CreateModel(
            name='DisputeStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('opened', '提出疑问'), ('proposed', '提出调整'), ('adjusted', '复核同意，已调整'), ('explained', '说明'), ('withdrawn', '撤回')], max_length=12, verbose_name='步骤')),
                ('text', models.CharField(blank=True, default='', max_length=300, verbose_name='内容')),
                ('fen', models.BigIntegerField(null=True, verbose_name='金额')),
                ('at', models.DateTimeField(verbose_name='什么时候')),
            ],
            options={
                'verbose_name': '异议经过',
                'verbose_name_plural': '异议经过',
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='PayCycle',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('since', models.DateField(help_text='已经有的结算期不变，只能从它们之后开始。', verbose_name='从哪天起')),
                ('days', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(28)]), help_text='写 1 是自然月；26 是 26 日到次月 25 日；1,16 是半月一期。最多四个，1 到 28。', size=4, verbose_name='每月几日开始新一期')),
            ],
            options={
                'verbose_name': '结算周期',
                'verbose_name_plural': '结算周期',
                'ordering': ['brand', 'since'],
            },
        ),
        migrations.CreateModel(
            name='Payout',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fen', models.BigIntegerField(verbose_name='金额')),
            ],
            options={
                'verbose_name': '发放明细',
                'verbose_name_plural': '发放明细',
            },
        ),
        migrations.AddField(
            model_name='payterms',
            name='answer_days',
            field=models.PositiveSmallIntegerField(default=5, help_text='超过的标成超时，总部看得到。', verbose_name='疑问要几天内答复'),
        ),
        migrations.AddField(
            model_name='payterms',
            name='between',
            field=models.CharField(choices=[('nothing', '不补，各发各的'), ('recharge', '收款的公司补上这笔佣金'), ('share', '按销售额分成')], default='recharge', help_text='佣金总是由导购所在的公司发；这里定收款的公司怎么补给它。', max_length=12, verbose_name='别家公司收款的成交'),
        ),
        migrations.AddField(
            model_name='payterms',
            name='between_ppm',
            field=models.PositiveIntegerField(default=0, help_text='只用于“按销售额分成”：退款后的实付乘以它，给专属导购所在的公司。', verbose_name='分成比例'),
        ),
        migrations.AddField(
            model_name='payterms',
            name='dispute_days',
            field=models.PositiveSmallIntegerField(default=15, help_text='过了就不能再提；还没出结算单的随时可以。', verbose_name='出单后几天内可以提疑问'),
        ),
        migrations.AddField(
            model_name='statement',
            name='paid_fen',
            field=models.BigIntegerField(default=0, verbose_name='已发'),
        ),
        migrations.AddConstraint(
            model_name='period',
            constraint=models.CheckConstraint(condition=models.Q(('starts_on__lt', models.F('ends_on'))), name='period_has_days'),
        ),
        migrations.AddConstraint(
            model_name='period',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('brand', '='), (models.Func(models.F('starts_on'), models.F('ends_on'), function='DATERANGE', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='period_no_overlap', violation_error_message='结算期不能重叠。'),
        ),
        migrations.AddConstraint(
            model_name='statement',
            constraint=models.CheckConstraint(condition=models.Q(('paid_fen__gte', 0), ('paid_fen__lte', models.F('pay_fen'))), name='statement_paid_within'),
        ),
        migrations.AddField(
            model_name='companyaccount',
            name='company',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='accounts', to='retail.franchisee', verbose_name='公司'),
        ),
        migrations.AddField(
            model_name='companyaccount',
            name='period',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='accounts', to='commissions.period', verbose_name='结算期'),
        ),
        migrations.AddField(
            model_name='companyleg',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='legs', to='commissions.companyaccount', verbose_name='公司结算'),
        ),
        migrations.AddField(
            model_name='companyleg',
            name='order',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.order', verbose_name='订单'),
        ),
        migrations.AddField(
            model_name='companyleg',
            name='other',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.franchisee', verbose_name='对方公司'),
        ),
        migrations.AddField(
            model_name='dispute',
            name='brand',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.brand', verbose_name='品牌'),
        ),
        migrations.AddField(
            model_name='dispute',
            name='line',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.orderline', verbose_name='订单行'),
        ),
        migrations.AddField(
            model_name='dispute',
            name='order',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.order', verbose_name='订单'),
        ),
        migrations.AddField(
            model_name='dispute',
            name='staff',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='retail.staff', verbose_name='员工'),
        ),
        migrations.AddField(
            model_name='dispute',
            name='statement',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='commissions.statement', verbose_name='结算单'),
        ),
        migrations.AddField(
            model_name='dispute',
            name='store',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='retail.store', verbose_name='门店'),
        ),
        migrations.AddField(
            model_name='disputestep',
            name='by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='谁'),
        ),
        migrations.AddField(
            model_name='disputestep',
            name='dispute',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='commissions.dispute', verbose_name='异议'),
        ),
        migrations.AddField(
            model_name='paycycle',
            name='brand',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='pay_cycles', to='retail.brand', verbose_name='品牌'),
        ),
        migrations.AddField(
            model_name='payout',
            name='batch',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payouts', to='commissions.payoutbatch', verbose_name='发放批次'),
        ),
        migrations.AddField(
            model_name='payout',
            name='statement',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payouts', to='commissions.statement', verbose_name='结算单'),
        ),
        migrations.AddConstraint(
            model_name='companyaccount',
            constraint=models.UniqueConstraint(fields=('period', 'company'), name='company_account_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='companyleg',
            constraint=models.UniqueConstraint(fields=('account', 'order', 'other', 'kind'), name='company_leg_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='companyleg',
            constraint=models.CheckConstraint(condition=models.Q(('fen', 0), _negated=True), name='company_leg_not_zero'),
        ),
        migrations.AddIndex(
            model_name='dispute',
            index=models.Index(fields=['staff', 'line'], name='dispute_of_line'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('line__isnull', False), ('order__isnull', False), ('statement', None)), models.Q(('line', None), ('order', None), ('statement__isnull', False)), _connector='OR'), name='dispute_about_one_thing'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('outcome', '')), models.Q(('closed_at__isnull', False), models.Q(('outcome', ''), _negated=True)), _connector='OR'), name='dispute_closed_with_outcome'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.UniqueConstraint(condition=models.Q(('closed_at', None)), fields=('staff', 'line', 'statement'), name='dispute_open_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='paycycle',
            constraint=models.UniqueConstraint(fields=('brand', 'since'), name='pay_cycle_once'),
        ),
        migrations.AddConstraint(
            model_name='paycycle',
            constraint=models.CheckConstraint(condition=models.Q(('days__len__gte', 1), ('days__contained_by', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28])), name='pay_cycle_days', violation_error_message='写 1 到 28 之间的日子，用逗号隔开。'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.UniqueConstraint(fields=('batch', 'statement'), name='payout_once'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.CheckConstraint(condition=models.Q(('fen__gt', 0)), name='payout_positive'),
        ),
        migrations.RunSQL(
            "INSERT INTO commissions_payout (batch_id, statement_id, fen)"
            " SELECT batch_id, id, pay_fen FROM commissions_statement WHERE batch_id IS NOT NULL;"
            " SET CONSTRAINTS ALL IMMEDIATE",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("DROP TRIGGER figures_stay ON commissions_statement", migrations.RunSQL.noop),
        migrations.RunSQL(
            "UPDATE commissions_statement SET paid_fen = pay_fen WHERE batch_id IN"
            " (SELECT id FROM commissions_payoutbatch WHERE state = 'paid');"
            " SET CONSTRAINTS ALL IMMEDIATE",
            migrations.RunSQL.noop,
        ),
        migrations.RemoveField(
            model_name='statement',
            name='batch',
        ),
        migrations.RunSQL(FIGURES, FIGURES_BEFORE),
        migrations.RunSQL(
            "CREATE TRIGGER figures_stay BEFORE UPDATE OR DELETE ON commissions_statement"
            " FOR EACH ROW EXECUTE FUNCTION refuse_other_figures()",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            WITHIN, "DROP TRIGGER within_statement ON commissions_payout; DROP FUNCTION refuse_overpaying()"
        ),
        migrations.RunSQL(
            BALANCED,
            "DROP TRIGGER legs_add_up ON commissions_companyleg; DROP FUNCTION refuse_unbalanced_companies()",
        ),
        migrations.RunSQL(
            CASE,
            "DROP TRIGGER closed_once ON commissions_dispute; DROP TRIGGER not_emptied ON commissions_dispute;"
            " DROP FUNCTION refuse_other_case()",
        ),
        migrations.RunSQL(NO_GAP, "DROP TRIGGER no_gap ON commissions_period; DROP FUNCTION refuse_gap()"),
        append_only("commissions_payout"),
        append_only("commissions_companyleg"),
        append_only("commissions_disputestep"),
    ]
