"""Which rows of each scoped model each kind of scope shows: the matrix below the pages."""

from django.apps import apps
from django.db.models import Model

from retail import org, scope
from retail.api import tokens
from retail.models import ApiToken, Post
from tests.matrix.worlds import Worlds

# What a scope of one clerk, of one place (store, region or company), and of one brand shows of our clerk's row (`o`),
# our clerk's colleague's (`c`), the row beside in our brand (`b`) and theirs (`t`). A brand's own row is ours and
# beside at once. `-`: nothing.
EXPECTED = """
retail.Brand            ob  ob  ob
retail.Product          ob  ob  ob
retail.Channel          ob  ob  ob
members.Tier            ob  ob  ob
members.Tag             ob  ob  ob
retail.Category         obt obt obt
retail.Region           o   o   ob
retail.Franchisee       -   o   ob
retail.Store            o   o   ob
retail.StoreGroup       o   o   ob
retail.Staff            o   oc  ocb
retail.StaffAccount     o   oc  ocb
retail.Order            -   o   ob
retail.OrderLine        -   o   ob
retail.OrderVersion     -   o   ob
retail.Refund           -   o   ob
retail.RefundVersion    -   o   ob
retail.AuditRow         -   -   -
retail.Approval         -   o   ob
retail.ExportFile       -   -   -
members.Member          -   o   ob
members.Identity        -   o   ob
members.Membership      -   o   ob
members.Purchase        -   o   ob
members.PointsRule      ob  ob  ob
members.PointsEntry     -   o   ob
members.PointsAdjustment -  -   ob
members.TierRule        ob  ob  ob
members.TierMove        -   o   ob
members.Stop            -   o   ob
members.MemberTag       -   o   ob
members.Profile         -   o   ob
members.CouponType      ob  ob  ob
members.CouponQuota     o   oc  ocb
members.Coupon          o   oc  ocb
members.CouponMove      o   oc  ocb
members.CouponUse       -   o   ob
members.CouponIssue     -   -   ob
members.CouponSkip      -   -   ob
members.Segment         ob  ob  ob
members.Consent         -   o   ob
members.Event           -   o   ob
members.MemberImport    -   -   ob
members.Doubt           -   o   ob
clerks.Merge            -   o   ob
commissions.Plan            -   -   ob
commissions.PlanVersion     -   -   ob
commissions.Rule            -   -   ob
commissions.Share           -   -   ob
commissions.Attainment      -   -   ob
commissions.AttainmentStep  -   -   ob
commissions.PlanCase        -   -   ob
commissions.Attained        o   oc  ocb
commissions.CountMark       -   o   ob
commissions.Guarantee       -   -   ob
commissions.Target          -   o   ob
commissions.ActionRate      -   -   ob
commissions.ActionEvent     o   oc  ocb
commissions.Period          -   -   ob
commissions.PayTerms        -   -   ob
commissions.PayoutBatch     -   -   ob
commissions.Run             -   -   ob
commissions.RunFigure       -   -   ob
commissions.PayCycle        -   -   ob
commissions.CompanyAccount  -   o   ob
commissions.CompanyLeg      -   o   ob
commissions.Payout          o   oc  ocb
commissions.Dispute         o   oc  ocb
commissions.DisputeStep     o   oc  ocb
commissions.Statement       o   oc  ocb
commissions.Entry           o   oc  ocb
commissions.ClaimRow        o   oc  ocb
commissions.BuyerSnapshot   -   o   ob
materials.PosterTemplate    ob  ob  ob
clerks.Binding              o   oc  ocb
clerks.TurnedAway           o   oc  ocb
clerks.Tie                  -   o   ob
clerks.Policy               ob  ob  ob
clerks.PastPolicy           ob  ob  ob
clerks.Customer             o   oc  ocb
clerks.Pooled               -   o   ob
clerks.PoolPolicy           ob  ob  ob
clerks.Note                 o   oc  ocb
clerks.Friend               o   oc  ocb
clerks.FriendMove           o   oc  ocb
clerks.TagWish          o   oc  ocb
clerks.GroupChat            o   oc  ocb
clerks.GroupChatMember      o   oc  ocb
clerks.ContactWay           o   oc  ocb
clerks.Shift                o   oc  ocb
clerks.Welcome              o   oc  ocb
clerks.WelcomePart          o   oc  ocb
clerks.Greeting             o   oc  ocb
clerks.Touch                o   oc  ocb
clerks.Notice               o   oc  ocb
clerks.Handover             o   oc  ocb
clerks.HandoverRow          o   oc  ocb
clerks.FriendTransfer       o   oc  ocb
clerks.ChatTransfer         o   oc  ocb
clerks.Broadcast            o   oc  ocb
clerks.HelpRequest          o   oc  ocb
materials.MaterialCategory  ob  ob  ob
materials.Material          ob  ob  ob
materials.MaterialVersion   ob  ob  ob
materials.MaterialFile      ob  ob  ob
materials.MaterialUpload    -   -   ob
materials.Favourite         o   -   ocb
materials.PosterTemplate    ob  ob  ob
materials.Share             o   oc  ocb
materials.Opening           o   oc  ocb
materials.ShareSale         o   oc  ocb
materials.ShareDay          o   oc  ocb
leads.IntentModel           -   -   ob
leads.Score                 -   -   ob
leads.Lead                  o   oc  ocb
leads.LeadPolicy            -   -   ob
leads.LeadRun               -   -   ob
leads.Holdout               -   -   ob
"""
TABLE = {label: cells for label, *cells in (line.split() for line in EXPECTED.strip().splitlines())}


def scopes(worlds: Worlds) -> dict[str, tuple[int, scope.Scope]]:
    """Name → (its column in the table, the scope), made as the product makes them."""
    made = {}
    for role in ("clerk", "store_manager", "region_manager", "franchise_owner"):
        post = Post.objects.select_related("store").get(staff__user=worlds.ours.accounts[role])
        made[role] = (0 if role == "clerk" else 1, org.scope_of(post))
    for name in ("store", "region", "franchisee", "brand"):
        token = ApiToken.objects.get(name=f"{worlds.ours.mark}-{name}")
        made[f"{name} token"] = (2 if name == "brand" else 1, tokens.scope_of_token(token))
    return made


def scoped_models() -> list[type[Model]]:
    return [model for model in apps.get_models() if issubclass(model, scope.Scoped)]


def wrong(worlds: Worlds, models: list[type[Model]] | None = None) -> list[str]:
    """Where the rows that are seen are not those of the table."""
    faults = []
    for name, (column, visible) in scopes(worlds).items():
        for model in models or scoped_models():
            seen = _seen(worlds, model, visible)
            expected = TABLE[model._meta.label][column].strip("-")
            if set(seen) != set(expected):
                faults.append(f"{model._meta.label} as {name}: {seen or '-'} instead of {expected or '-'}")
    return faults


def _seen(worlds: Worlds, model: type[Model], visible: scope.Scope) -> str:
    samples = {"o": worlds.ours.rows[model], "b": worlds.beside.rows[model], "t": worlds.theirs.rows[model]}
    if model in worlds.ours.colleagues:
        samples["c"] = worlds.ours.colleagues[model]
    with scope.within(visible):
        pks = set(model.objects.filter(pk__in=[row.pk for row in samples.values()]).values_list("pk", flat=True))
    return "".join(letter for letter, row in samples.items() if row.pk in pks)
