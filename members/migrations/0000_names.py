"""How names are searched: the letters an index over `members_member.name` is made of, and names as a clerk types them.

PostgreSQL makes them of the name itself, so that a name is found by whatever way it came, and forgotten with it.
"""

import json
from pathlib import Path

from django.db import migrations

READINGS, SURNAMES = {}, {}
for line in Path(__file__).parents[1].joinpath("pinyin.txt").read_text("utf-8").splitlines():
    one, _, other = line.partition(" ")
    if one.isascii():
        READINGS |= dict.fromkeys(other, one) if one != "#" else {}
    else:
        SURNAMES[one] = other

# Every character of a name and every two that stand together.
GRAMS = """
CREATE FUNCTION name_grams(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    said text := lower(name);
    grams text[] := '{}';
BEGIN
    FOR place IN 1 .. length(said) LOOP
        grams := array_append(grams, substr(said, place, 1));
        IF place < length(said) THEN
            grams := array_append(grams, substr(said, place, 2));
        END IF;
    END LOOP;
    RETURN grams;
END $$
"""
# 单小丽 → 单小丽 danxiaoli dxl shanxiaoli sxl, with tabs between them. Digits are left out: some give their telephone
# number for a name, and that is not to be spelled out by searching.
SOUGHT = f"""
CREATE FUNCTION name_sought(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    said text := regexp_replace(lower(name), '[\\s\\d]', '', 'g');
    reading text;
    readings text[] := '{{}}';
    firsts text := '';
    surname text[];
    found text;
BEGIN
    IF said = '' THEN
        RETURN '';
    END IF;
    FOR place IN 1 .. length(said) LOOP
        reading := coalesce('{json.dumps(READINGS, ensure_ascii=False)}'::jsonb ->> substr(said, place, 1),
            substr(said, place, 1));
        readings := array_append(readings, reading);
        firsts := firsts || left(reading, 1);
    END LOOP;
    found := said || E'\\t' || array_to_string(readings, '') || E'\\t' || firsts;
    FOR size IN REVERSE 2 .. 1 LOOP
        surname := string_to_array(
            '{json.dumps(SURNAMES, ensure_ascii=False)}'::jsonb ->> left(said, size), ' ');
        IF cardinality(surname) = size THEN
            found := found || E'\\t' || array_to_string(surname || readings[size + 1:], '') || E'\\t'
                || left(surname[1], 1) || coalesce(left(surname[2], 1), '') || substr(firsts, size + 1);
            EXIT;
        END IF;
    END LOOP;
    RETURN found;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("retail", "0001_initial")]
    run_before = [("members", "0001_initial")]
    operations = [
        migrations.RunSQL(GRAMS, "DROP FUNCTION name_grams"),
        migrations.RunSQL(SOUGHT, "DROP FUNCTION name_sought"),
    ]
