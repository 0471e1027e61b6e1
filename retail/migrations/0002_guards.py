"""What the database refuses, whoever asks: see retail.guards, which lists these guards for the doctor."""

from django.db import migrations

from retail.guards import append_only

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""
# A revoked token is never revived.
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
# No request makes anybody a superuser, or of one a mere user; nor does it give a superuser a password but their own,
# or it would sign in as one.
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
    IF current_user = 'daogou_web' AND known AND NEW.password <> OLD.password
        AND coalesce(current_setting('daogou.person', true), '') <> OLD.id::text THEN
        RAISE EXCEPTION 'the password of a superuser is theirs' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER power_from_the_server BEFORE INSERT OR UPDATE ON retail_user
    FOR EACH ROW EXECUTE FUNCTION refuse_power()
"""


class Migration(migrations.Migration):
    dependencies = [("retail", "0001_initial")]

    operations = [
        migrations.RunSQL(REFUSE_CHANGE, "DROP FUNCTION refuse_change()"),
        append_only("retail_auditrow"),
        append_only("retail_orderversion"),
        append_only("retail_refundversion"),
        append_only("retail_seal"),
        append_only("retail_suppression"),
        migrations.RunSQL(REVIVAL, "DROP TRIGGER stays_revoked ON retail_apitoken; DROP FUNCTION refuse_revival()"),
        migrations.RunSQL(POWER, "DROP TRIGGER power_from_the_server ON retail_user; DROP FUNCTION refuse_power()"),
    ]
