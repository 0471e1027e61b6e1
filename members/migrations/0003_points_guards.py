"""The balance of a membership is the sum of its points entries, and nothing else: see retail.guards."""

from django.db import migrations

from retail.guards import append_only

# What is booked is added to the balance by the database itself, in the statement that books it.
BALANCE = """
CREATE FUNCTION add_points() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE members_membership m SET points = m.points + booked.points
    FROM (SELECT membership_id, sum(points)::bigint AS points FROM written GROUP BY membership_id) booked
    WHERE m.id = booked.membership_id AND booked.points <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER balance AFTER INSERT ON members_pointsentry REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION add_points()
"""
# Whoever serves requests or works off jobs changes a balance in no other way.
OTHERWISE = """
CREATE FUNCTION refuse_other_points() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user IN ('daogou_web', 'daogou_job') AND pg_trigger_depth() = 1 THEN
        RAISE EXCEPTION 'points of membership %: book an entry instead', NEW.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER points_by_entries BEFORE UPDATE ON members_membership FOR EACH ROW
    WHEN (OLD.points IS DISTINCT FROM NEW.points) EXECUTE FUNCTION refuse_other_points();
CREATE TRIGGER points_from_zero BEFORE INSERT ON members_membership FOR EACH ROW
    WHEN (NEW.points <> 0) EXECUTE FUNCTION refuse_other_points()
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0002_events"), ("retail", "0002_guards")]

    operations = [
        append_only("members_pointsentry"),
        migrations.RunSQL(BALANCE, "DROP TRIGGER balance ON members_pointsentry; DROP FUNCTION add_points()"),
        migrations.RunSQL(
            OTHERWISE,
            "DROP TRIGGER points_by_entries ON members_membership; DROP TRIGGER points_from_zero ON members_membership;"
            " DROP FUNCTION refuse_other_points()",
        ),
    ]
