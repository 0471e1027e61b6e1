"""What was approved says the same for ever: what a customer was sent can be shown years later. So the database keeps
an approved version, and its files, as they are; a change is another version.
"""

from django.db import migrations

VERSION = """
CREATE FUNCTION refuse_other_material() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'approved' AND (TG_OP = 'DELETE' OR NEW IS DISTINCT FROM OLD) THEN
        RAISE EXCEPTION 'version % of a material is approved and stays as it is', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER approved_stays BEFORE UPDATE OR DELETE ON materials_materialversion
    FOR EACH ROW EXECUTE FUNCTION refuse_other_material();
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON materials_materialversion
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
# Tables with their schema: guards read those, whatever a session calls by the same name.
FILES = """
CREATE FUNCTION refuse_other_files() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM public.materials_materialversion WHERE state = 'approved'
               AND id::text IN (to_jsonb(OLD) ->> 'version_id', to_jsonb(NEW) ->> 'version_id')) THEN
        RAISE EXCEPTION 'the files of an approved material stay as they are' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER approved_stays BEFORE INSERT OR UPDATE OR DELETE ON materials_materialfile
    FOR EACH ROW EXECUTE FUNCTION refuse_other_files();
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON materials_materialfile
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


class Migration(migrations.Migration):
    dependencies = [("materials", "0002_openings"), ("retail", "0002_guards")]

    operations = [
        migrations.RunSQL(
            VERSION,
            "DROP TRIGGER not_emptied ON materials_materialversion;"
            " DROP TRIGGER approved_stays ON materials_materialversion; DROP FUNCTION refuse_other_material()",
        ),
        migrations.RunSQL(
            FILES,
            "DROP TRIGGER not_emptied ON materials_materialfile;"
            " DROP TRIGGER approved_stays ON materials_materialfile; DROP FUNCTION refuse_other_files()",
        ),
    ]
