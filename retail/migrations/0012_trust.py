"""Who made a token and who agreed, why a file is empty, what carries an approval out; and two guards.

A revoked token is never revived, whoever asks; and no request makes anybody a superuser, or of one a mere user.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

REVIVAL = """
CREATE FUNCTION refuse_revival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'token % was revoked: make another', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stays_revoked BEFORE UPDATE ON retail_apitoken FOR EACH ROW EXECUTE FUNCTION refuse_revival()
"""
NO_REVIVAL = "DROP TRIGGER stays_revoked ON retail_apitoken; DROP FUNCTION refuse_revival()"
POWER = """
CREATE FUNCTION refuse_power() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    known boolean := false;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        known := OLD.is_superuser;
    END IF;
    IF current_user = 'daogou_web' AND NEW.is_superuser <> known THEN
        RAISE EXCEPTION 'superusers are made on the server' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER power_from_the_server BEFORE INSERT OR UPDATE ON retail_user
    FOR EACH ROW EXECUTE FUNCTION refuse_power()
"""
NO_POWER = "DROP TRIGGER power_from_the_server ON retail_user; DROP FUNCTION refuse_power()"

EMPTY = [
    ("forgotten", "有会员要求删除资料，这份文件已清空，请重新导出。"),
    ("left", "提出的人已经停用，或不再有导出的权限，没有生成。"),
]
STATES = [
    ("waiting", "等待"),
    ("approved", "已同意"),
    ("refused", "未同意"),
    ("expired", "已过期"),
    ("lapsed", "已作废"),
]
DECIDED = models.Q(state__in=["waiting", "expired", "lapsed"], decided_by=None, decided_at=None) | models.Q(
    state__in=["approved", "refused"], decided_by__isnull=False, decided_at__isnull=False
) & ~models.Q(decided_by=models.F("asked_by"))


def _person(name: str) -> models.ForeignKey:
    return models.ForeignKey(
        blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+",
        to=settings.AUTH_USER_MODEL, verbose_name=name,
    )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("retail", "0011_two_persons")]

    operations = [
        migrations.AddField("apitoken", "made_by", _person("谁建的")),
        migrations.AddField("apitoken", "agreed_by", _person("谁同意的")),
        migrations.AlterField(
            "apitoken",
            "revoked_at",
            models.DateTimeField(blank=True, editable=False, null=True, verbose_name="停用"),
        ),
        migrations.AddField(
            "approval", "job_id", models.BigIntegerField(editable=False, null=True, verbose_name="任务")
        ),
        migrations.AddField(
            "approval",
            "needs",
            models.CharField(blank=True, default="", editable=False, max_length=100, verbose_name="提出要有的权限"),
        ),
        migrations.AlterField(
            "approval",
            "state",
            models.CharField(choices=STATES, default="waiting", max_length=8, verbose_name="状态"),
        ),
        migrations.RemoveConstraint("approval", "approval_decided_by_another"),
        migrations.AddConstraint(
            "approval",
            models.CheckConstraint(
                condition=DECIDED,
                name="approval_decided_by_another",
                violation_error_message="提出的人不能自己决定。",
            ),
        ),
        migrations.AddField(
            "exportfile",
            "empty_because",
            models.CharField(
                blank=True, choices=EMPTY, default="", max_length=16, verbose_name="为什么没有文件"
            ),
        ),
        migrations.RemoveConstraint("suppression", "suppression_once"),
        migrations.AddConstraint(
            "suppression", models.UniqueConstraint(fields=["hmac", "at"], name="suppression_once")
        ),
        migrations.RunSQL(REVIVAL, NO_REVIVAL),
        migrations.RunSQL(POWER, NO_POWER),
    ]
