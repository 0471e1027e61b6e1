"""The clerk's phone: everything below /m/."""

from datetime import date

from django.urls import path, register_converter

from clerks.pages.views import (
    customer,
    customers,
    earned,
    help,
    home,
    leads,
    material_files,
    materials,
    me,
    notices,
    pool,
    replies,
    sharing,
    sidebar,
    sign_in,
    statements,
    vouchers,
    wishes,
)


class DayConverter:
    """2026-11-21 in an address; a day that does not exist matches nothing."""

    regex = r"20\d\d-\d{2}-\d{2}"

    def to_python(self, value: str) -> date:
        return date.fromisoformat(value)

    def to_url(self, value: date) -> str:
        return value.isoformat()


register_converter(DayConverter, "day")

app_name = "clerks"
urlpatterns = [
    path("", home.home, name="home"),
    path("earnings/", earned.month, name="month"),
    path("earnings/actions/", earned.actions, name="actions"),
    path("earnings/<day:day>/", earned.day, name="day"),
    path("earnings/<int:order_id>/", earned.sale, name="sale"),
    path("attained/<int:attained_id>/", earned.attained, name="attained"),
    path("earnings/<int:order_id>/<int:line_id>/dispute/", earned.dispute, name="sale_dispute"),
    path("disputes/<int:dispute_id>/withdraw/", statements.withdraw, name="dispute_withdraw"),
    path("statements/", statements.every, name="statements"),
    path("statements/<int:statement_id>/", statements.one, name="statement"),
    path("statements/<int:statement_id>/confirm/", statements.confirm, name="statement_confirm"),
    path("statements/<int:statement_id>/dispute/", statements.dispute, name="statement_dispute"),
    path("n/", notices.every, name="notices"),
    path("n/all/<int:broadcast_id>/", notices.of_broadcast, name="notice_of_broadcast"),
    path("n/<int:notice_id>/", notices.one, name="notice"),
    path("n/<int:notice_id>/open/", notices.open_record, name="notice_open"),
    path("n/<int:notice_id>/done/", notices.done, name="notice_done"),
    path("help/", help.every, name="help"),
    path("help/<int:help_id>/", help.one, name="help_one"),
    path("help/<int:help_id>/do/", help.do, name="help_do"),
    path("customers/", customers.customers, name="customers"),
    path("customers/search/", customers.search, name="customers_search"),
    path("customers/<int:member_id>/", customer.customer, name="customer"),
    path("customers/<int:member_id>/story/", customer.story, name="story"),
    path("customers/<int:member_id>/coupons/", customer.give, name="customer_give"),
    path("customers/<int:member_id>/tags/", customer.tag, name="customer_tag"),
    path("customers/<int:member_id>/notes/", customer.note, name="note"),
    path("customers/<int:member_id>/notes/<int:note_id>/delete/", customer.delete_note, name="note_delete"),
    path("customers/<int:member_id>/help/", customer.ask, name="help_ask"),
    path("customers/<int:member_id>/chat/", customer.chat, name="chat"),
    path("customers/<int:member_id>/send/", customer.send, name="send"),
    path("customers/<int:member_id>/wishes/", wishes.wishes, name="wishes"),
    path("pool/", pool.every, name="pool"),
    path("pool/<int:member_id>/claim/", pool.claim, name="pool_claim"),
    path("leads/", leads.every, name="leads"),
    path("leads/pool/", leads.pool, name="leads_pool"),
    path("leads/team/", leads.team, name="leads_team"),
    path("leads/<int:lead_id>/", leads.one, name="lead"),
    path("leads/<int:lead_id>/contact/", leads.contact, name="lead_contact"),
    path("leads/<int:lead_id>/later/", leads.later, name="lead_later"),
    path("leads/<int:lead_id>/refuse/", leads.refuse, name="lead_refuse"),
    path("leads/<int:lead_id>/replied/", leads.replied, name="lead_replied"),
    path("leads/<int:lead_id>/claim/", leads.claim, name="lead_claim"),
    path("materials/", materials.every, name="materials"),
    path("materials/shares/", sharing.mine, name="shares"),
    path("materials/shares/<int:share_id>/poster/", sharing.poster, name="poster"),
    path("materials/shares/<int:share_id>/poster.jpg", sharing.poster_picture, name="poster_picture"),
    path("materials/shares/<int:share_id>/sent/", sharing.sent, name="share_sent"),
    path("materials/replies/", replies.every, name="replies"),
    path("materials/replies/<int:material_id>/", replies.one, name="reply"),
    path("materials/replies/<int:material_id>/delete/", replies.delete, name="reply_delete"),
    path("materials/files/<int:file_id>/", material_files.one, name="material_file"),
    path("materials/beside/<int:member_id>/", materials.beside, name="materials_beside"),
    path("materials/<int:material_id>/", materials.one, name="material"),
    path("materials/<int:material_id>/to/", materials.choose, name="material_to"),
    path("materials/<int:material_id>/favour/", materials.favour, name="material_favour"),
    path("materials/<int:material_id>/share/", sharing.share, name="material_share"),
    path("materials/<int:material_id>/poster/", sharing.make_poster, name="material_poster"),
    path("materials/<int:material_id>/original/", sharing.original, name="material_original"),
    path("sidebar/", sidebar.sidebar, name="sidebar"),
    path("sidebar/customer/", sidebar.customer, name="sidebar_customer"),
    path("sidebar/signatures/", sidebar.signatures, name="signatures"),
    path("me/", me.me, name="me"),
    path("me/coupons/", vouchers.vouchers, name="vouchers"),
    path("me/type/", me.type_size, name="type_size"),
    path("me/sign-out/", me.sign_out, name="sign_out"),
    path("sign-in/", sign_in.sign_in, name="sign_in"),
    path("sign-in/back/", sign_in.back, name="sign_in_back"),
]
