"""What the pages of materials say: the kinds, the colours of states, and the questions before a button acts."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.dataclasses import ActionDialog

from clerks.materials.models import Material
from retail.scoped_admin import Confirm

Kind = Material.Kind
COLOURS = {"draft": "info", "waiting": "warning", "approved": "success", "returned": "danger"}
ABOUT = {
    Kind.TEXT: _("一段话，导购点一下就发，名字自动换好"),
    Kind.PICTURES: _("一到九张图，可以带一段话"),
    Kind.LINK: _("一个网页，发出去是卡片"),
    Kind.VIDEO: _("一个短视频"),
    Kind.FILE: _("PDF、Word、Excel 或 PPT"),
    Kind.MINIPROGRAM: _("小程序里的一页"),
    Kind.PRODUCT: _("一个商品，带价格和落地页"),
    Kind.LIVE: _("直播什么时候开"),
    Kind.POSTER: _("带导购自己的码的海报"),
}
ICONS = {
    Kind.TEXT: "chat",
    Kind.PICTURES: "photo_library",
    Kind.LINK: "link",
    Kind.VIDEO: "movie",
    Kind.FILE: "description",
    Kind.MINIPROGRAM: "widgets",
    Kind.PRODUCT: "sell",
    Kind.LIVE: "live_tv",
    Kind.POSTER: "wallpaper",
}
SUBMIT = ActionDialog(
    title=_("送审？"),
    description=_("送审以后不能再改，等另一位总部同事决定。改过还没保存的，请用下面的“保存并送审”。"),
    form_class=Confirm,
    form_submit_text=_("送审"),
)
RETIRE = ActionDialog(
    title=_("停用这个素材？"),
    description=_("马上谁也不能再发，已经发出去的链接一分钟内也打不开了。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "停用"),
)
WITHDRAW = ActionDialog(
    title=_("撤回，接着改？"),
    description=_("还没审的这一版变回草稿。"),
    form_class=Confirm,
    form_submit_text=_("撤回"),
)
REVISE = ActionDialog(
    title=_("写新的一版？"),
    description=_("照现在这一版抄一份来改。新的通过以前，导购发的还是现在这一版。"),
    form_class=Confirm,
    form_submit_text=_("改版"),
)
REVIVE = ActionDialog(
    title=_("启用这个素材？"),
    description=_("在有效期里的，导购马上又能发。"),
    form_class=Confirm,
    form_submit_text=pgettext_lazy("button", "启用"),
)
