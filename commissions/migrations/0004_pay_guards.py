"""Statements, what is paid of them, what companies owe each other, disputes: figures stay as they were made."""

from django.db import migrations

from retail.guards import append_only

# Its figures never change; who confirms it is known later, once, and what is paid of it only grows.
STATEMENT = """
CREATE FUNCTION refuse_other_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR to_jsonb(NEW) - '{confirmed_at,paid_fen}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{confirmed_at,paid_fen}'::text[]
        OR (OLD.confirmed_at IS NOT NULL AND NEW.confirmed_at IS DISTINCT FROM OLD.confirmed_at)
        OR NEW.paid_fen < OLD.paid_fen THEN
        RAISE EXCEPTION 'statements do not change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER figures_stay BEFORE UPDATE OR DELETE ON commissions_statement
    FOR EACH ROW EXECUTE FUNCTION refuse_other_figures();
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON commissions_statement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
# What may happen to a row is one step: somebody says that it was paid, or takes it back.
PAID_ONCE = """
CREATE FUNCTION refuse_other_payout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said text[] := '{state,paid_by_id,paid_at,reference,voided_by_id,voided_at}';
BEGIN
    IF NEW IS DISTINCT FROM OLD AND (
        OLD.state <> 'ready' OR NEW.state NOT IN ('paid', 'void') OR to_jsonb(NEW) - said <> to_jsonb(OLD) - said
    ) THEN
        RAISE EXCEPTION 'batch % keeps its figures, and is paid or taken back once', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER paid_once BEFORE UPDATE ON commissions_payoutbatch
    FOR EACH ROW EXECUTE FUNCTION refuse_other_payout();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON commissions_payoutbatch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
# Batches together never take more of a statement than it owes.
WITHIN = """
CREATE FUNCTION refuse_overpaying() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    over bigint;
BEGIN
    SELECT s.id INTO over FROM public.commissions_statement s
    WHERE s.id IN (SELECT statement_id FROM written) AND s.pay_fen < (
        SELECT sum(p.fen) FROM public.commissions_payout p
        JOIN public.commissions_payoutbatch b ON b.id = p.batch_id AND b.state <> 'void' WHERE p.statement_id = s.id
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


class Migration(migrations.Migration):
    dependencies = [("commissions", "0003_plan_guards")]

    operations = [
        migrations.RunSQL(
            STATEMENT,
            "DROP TRIGGER figures_stay ON commissions_statement; DROP TRIGGER not_emptied ON commissions_statement;"
            " DROP FUNCTION refuse_other_figures()",
        ),
        migrations.RunSQL(
            PAID_ONCE,
            "DROP TRIGGER paid_once ON commissions_payoutbatch; DROP TRIGGER stays ON commissions_payoutbatch;"
            " DROP FUNCTION refuse_other_payout()",
        ),
        append_only("commissions_payout"),
        migrations.RunSQL(
            WITHIN, "DROP TRIGGER within_statement ON commissions_payout; DROP FUNCTION refuse_overpaying()"
        ),
        append_only("commissions_companyleg"),
        migrations.RunSQL(
            BALANCED,
            "DROP TRIGGER legs_add_up ON commissions_companyleg; DROP FUNCTION refuse_unbalanced_companies()",
        ),
        append_only("commissions_disputestep"),
        migrations.RunSQL(
            CASE,
            "DROP TRIGGER closed_once ON commissions_dispute; DROP TRIGGER not_emptied ON commissions_dispute;"
            " DROP FUNCTION refuse_other_case()",
        ),
    ]
