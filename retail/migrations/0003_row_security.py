"""The second net below the scope (docs/adr/0010): `daogou_web` sees only the buyer keys its request may, and of the
exported files those of its person.

The logins belong to the server and are made apart (retail.logins), their rights after every migrate (retail.rights): a
restored database may meet a server without them. For the same reason no policy is made for one login alone.
"""

from django.db import migrations

# Written in PL/pgSQL because it names tables of rooms above, which are made later.
KEYS_OF_SCOPE = """
CREATE FUNCTION daogou_sees_key(wanted bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    said text := coalesce(current_setting('daogou.stores', true), '');
BEGIN
    IF said = '*' OR current_user = 'daogou_job' THEN RETURN true; END IF;
    IF said = '' THEN RETURN false; END IF;
    RETURN EXISTS (
        SELECT FROM members_identity i JOIN members_membership m ON m.member_id = i.member_id
        JOIN members_purchase p ON p.membership_id = m.id
        WHERE i.key_id = wanted AND p.store_id = ANY(said::bigint[])
    ) OR EXISTS (
        SELECT FROM retail_staff s JOIN retail_post p ON p.staff_id = s.id
        WHERE s.phone_key_id = wanted AND p.store_id = ANY(said::bigint[])
    );
END $$;
CREATE POLICY of_scope ON retail_buyerkey USING (daogou_sees_key(id)) WITH CHECK (true);
ALTER TABLE retail_buyerkey ENABLE ROW LEVEL SECURITY
"""
ALL_KEYS = """
ALTER TABLE retail_buyerkey DISABLE ROW LEVEL SECURITY;
DROP POLICY of_scope ON retail_buyerkey;
DROP FUNCTION daogou_sees_key(bigint)
"""
FILES_OF_PERSON = """
CREATE POLICY of_person ON retail_exportfile USING (
    current_user = 'daogou_job' OR asked_by_id = nullif(current_setting('daogou.person', true), '')::bigint
);
ALTER TABLE retail_exportfile ENABLE ROW LEVEL SECURITY
"""
ALL_FILES = """
ALTER TABLE retail_exportfile DISABLE ROW LEVEL SECURITY;
DROP POLICY of_person ON retail_exportfile
"""


class Migration(migrations.Migration):
    dependencies = [("retail", "0002_guards")]

    operations = [
        migrations.RunSQL(KEYS_OF_SCOPE, ALL_KEYS),
        migrations.RunSQL(FILES_OF_PERSON, ALL_FILES),
    ]
