"""Cases that a version carries, sealed with it. The guard now knows every table that has a `version_id`."""

import django.db.models.deletion
from django.db import migrations, models

# Parts of a version say so themselves; of the parts of those the guard is told how they hang on it.
SEALED = """
CREATE OR REPLACE FUNCTION refuse_sealed_content() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    touched bigint[];
BEGIN
    touched := CASE TG_TABLE_NAME
        WHEN 'commissions_share' THEN ARRAY(SELECT version_id FROM public.commissions_rule
            WHERE id::text IN (to_jsonb(OLD) ->> 'rule_id', to_jsonb(NEW) ->> 'rule_id'))
        WHEN 'commissions_attainmentstep' THEN ARRAY(SELECT version_id FROM public.commissions_attainment
            WHERE id::text IN (to_jsonb(OLD) ->> 'attainment_id', to_jsonb(NEW) ->> 'attainment_id'))
        ELSE ARRAY[(to_jsonb(OLD) ->> 'version_id'), (to_jsonb(NEW) ->> 'version_id')]::bigint[]
    END;
    IF EXISTS (SELECT 1 FROM public.commissions_planversion
               WHERE id = ANY(touched) AND status NOT IN ('draft', 'tested')) THEN
        RAISE EXCEPTION 'this plan version is sealed: copy it to a new draft' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('commissions', '0005_payout_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='PlanCase',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=64, verbose_name='编码')),
                ('title', models.CharField(blank=True, default='', max_length=128, verbose_name='说明')),
                ('kind', models.CharField(choices=[('plan', '订单算佣'), ('tier', '阶梯'), ('allocate', '分账取整'), ('actions', '动作计酬'), ('payout', '发放'), ('draw', '保底预支'), ('restate', '跨期更正')], default='plan', max_length=16, verbose_name='类型')),
                ('input', models.JSONField(verbose_name='输入')),
                ('expect', models.JSONField(blank=True, default=dict, verbose_name='应得')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='cases', to='commissions.planversion', verbose_name='版本')),
            ],
            options={
                'verbose_name': '用例',
                'verbose_name_plural': '用例',
                'ordering': ['version', 'code'],
                'constraints': [models.UniqueConstraint(fields=('version', 'code'), name='plan_case_code_once')],
            },
        ),
        migrations.RunSQL(SEALED, migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON commissions_plancase"
            " FOR EACH ROW EXECUTE FUNCTION refuse_sealed_content()",
            "DROP TRIGGER sealed ON commissions_plancase",
        ),
    ]
