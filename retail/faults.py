"""What is wrong with a row or a call: a code for machines, and words in the language of whoever reads them.

Whoever finds a fault (msgspec, the shapes, `retail.orders`) says it in English, as log files do. Here it is told: in
English as it was found, in Chinese by the table below. A fault that the table does not know is `invalid`, and stays as
it was found: better half a sentence in English than no reason at all.
"""

import re
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _


class _Known(NamedTuple):
    said: re.Pattern[str]
    code: str
    words: Promise


def _known(said: str, code: str, words: Promise) -> _Known:
    return _Known(re.compile(said, flags=re.DOTALL), code, words)


_TABLE = [
    # Codes that stand for nothing here
    _known(r"unknown store '(?P<it>.*)'", "unknown_store", _("没有这家门店：%(it)s")),
    _known(r"unknown SKU '(?P<it>.*)'", "unknown_sku", _("没有这个 SKU：%(it)s")),
    _known(r"unknown brand '(?P<it>.*)'", "unknown_brand", _("没有这个品牌：%(it)s")),
    _known(r"order '(?P<it>.*)' has no line '(?P<line>.*)'", "unknown_line", _("订单 %(it)s 没有这一行：%(line)s")),
    _known(
        r"is '(?P<it>.*)', but these \w+ are taken for '(?P<ours>.*)'",
        "other_channel",
        _("写的是 %(it)s，但这个令牌推送的是 %(ours)s"),
    ),
    _known(r"unknown channel '(?P<it>.*)'", "unknown_channel", _("没有这个渠道：%(it)s")),
    _known(r"unknown tier '(?P<it>.*)'", "unknown_tier", _("没有这个等级：%(it)s")),
    _known(r"unknown tag '(?P<it>.*)'", "unknown_tag", _("没有这个标签：%(it)s")),
    _known(r"unknown coupon code", "unknown_coupon", _("没有这个券码")),
    _known(r"was claimed by somebody else", "coupon_taken", _("券码已经被别人领走了")),
    _known(r"was used already", "coupon_used", _("券码已经用掉了")),
    _known(r"was taken back", "coupon_void", _("券码已经作废了")),
    _known(r"is over", "coupon_over", _("券码已经过期了")),
    _known(r"has as many of these coupons.*", "coupon_enough", _("这位会员已经领满了这种券")),
    _known(r"is no member of the brand.*", "not_a_member", _("不是这个品牌的会员")),
    _known(r"unknown company '(?P<it>.*)'", "unknown_company", _("没有这家公司：%(it)s")),
    _known(r"nobody '(?P<it>.*)' holds a post.*", "unknown_clerk", _("工号 %(it)s 现在没有门店岗位")),
    _known(
        r"is a store of '(?P<it>.*)', not of '(?P<ours>.*)'", "other_brand", _("是 %(it)s 的门店，不是 %(ours)s 的")
    ),
    _known(r"channel_id: give the channel.*", "channel_needed", _("写了渠道买家号，请写明是哪个渠道的")),
    # People
    _known(r"belongs to several members: (?P<it>.*)", "several_members", _("这几个标识是不同会员的：%(it)s")),
    _known(r"is known by another unionid: (?P<it>.*)", "several_members", _("这位会员已有另一个微信：%(it)s")),
    _known(
        r"brought (?P<it>\d+) along before.*",
        "opened_before",
        _("期初积分已经按 %(it)s 分入过账，不能再改；要增减请在会员页上人工调整"),
    ),
    _known(r"asked to be forgotten", "forgotten", _("这位顾客要求过抹去资料")),
    _known(r"has not come yet", "out_of_range", _("时间还没到")),
    _known(r"must be of the last (?P<it>\d+) days", "out_of_range", _("只收最近 %(it)s 天的")),
    _known(r"channel '(?P<it>.*)' serves several brands.*", "store_needed", _("渠道 %(it)s 有几个品牌，请写明门店")),
    # Content
    _known(r"(?:'.*' )?appears twice.*", "repeated", _("写了两次")),
    _known(r"is negative, but qty is not.*", "negative_amount", _("金额是负数而件数不是：退钱请用退款接口")),
    _known(r"must be a day of the last (?P<it>\d+) years", "out_of_range", _("要是最近 %(it)s 年里的一天")),
    _known(r"must be from (?P<it>\d+) to before (?P<last>\d+)", "out_of_range", _("要从 %(it)s 年到 %(last)s 年之前")),
    _known(
        r"phone: (?:must be a phone number.*|is no number that anybody can have)",
        "bad_phone",
        _("没有这样的手机号：手机 11 位，固话带区号，境外以 + 开头"),
    ),
    _known(r"\w+: must be 1 to 128 characters.*", "bad_value", _("应是 1 到 128 个字符")),
    _known(r"Give exactly one of `fen`.*", "one_of", _("fen、cumulative_fen、qty 只能写一个，也必须写一个")),
    # Lists of members
    _known(r"must be a day like .*", "bad_date", _("日期要写成 1986-05-04 这样")),
    _known(r"is a day that no month has.*", "bad_date", _("没有这一天")),
    _known(r"must be a whole number.*", "bad_type", _("要写整数，不要小数点和逗号")),
    _known(r"must be a moment like .*", "bad_time", _("时间要写成 2025-03-01 14:30 这样")),
    _known(r"must be yes or no.*", "bad_choice", _("要写是或否")),
    _known(r"is empty", "missing", _("是空的")),
    _known(r"nothing in this row says who it is", "missing", _("这一行没有手机号等能认出人的内容")),
    _known(
        r"has (?P<it>\d+) cells where the header has (?P<most>\d+).*", "invalid", _("有 %(it)s 格，表头是 %(most)s 格")
    ),
    _known(r"the file ends .*", "invalid", _("文件到这里断了，这一行可能不完整")),
    _known(r"holds bytes that are not (?P<it>.*)", "invalid", _("有 %(it)s 里没有的乱码")),
    _known(r"is empty: the first row .*", "missing", _("是空的，第一行要写列名")),
    _known(r"unknown columns: (?P<it>.*); known are .*", "unknown_field", _("没有这些列：%(it)s")),
    _known(r"missing columns: (?P<it>.*)", "missing", _("缺少这些列：%(it)s")),
    _known(r"columns that appear twice: (?P<it>.*)", "repeated", _("这些列出现了两次：%(it)s")),
    _known(r"no CSV after row (?P<it>\d+): .*", "invalid", _("第 %(it)s 行之后就不是 CSV 了")),
    _known(r"no CSV: .*", "invalid", _("不是 CSV 文件")),
    _known(r"is UTF-16; .*", "invalid", _("编码是 UTF-16，请另存为“CSV UTF-8”再上传")),
    _known(r"neither UTF-8 nor GB18030; .*", "invalid", _("看不出文字编码，请另存为“CSV UTF-8”再上传")),
    _known(r"is an old Excel file .*", "invalid", _("是旧版 Excel 文件（.xls），请另存为 .xlsx 或“CSV UTF-8”")),
    _known(r"cannot be opened as an Excel file .*", "invalid", _("打不开，不是完整的 Excel 文件（.xlsx）")),
    _known(r"is damaged, or no Excel file .*", "invalid", _("文件坏了，或者不是 Excel 文件（.xlsx）")),
    _known(r"has no sheet: .*", "invalid", _("里面没有工作表，请确认是 Excel 文件（.xlsx）")),
    _known(r"defines XML of its own.*", "invalid", _("里面有 Excel 文件不该有的内容")),
    _known(r"(?:holds too many|holds more texts?|unpacks to more) .*", "too_large", _("内容太多，请分成几个文件")),
    _known(r"has more than (?P<it>[\d,]+) columns", "too_large", _("列太多，最多 %(it)s 列")),
    _known(r"has more than (?P<it>[\d,]+) rows: .*", "too_many_rows", _("行太多，一个文件最多 %(it)s 行，请分成几个")),
    # Shape
    _known(r"Object missing required field `(?P<it>.*)`", "missing", _("缺少字段 %(it)s")),
    _known(r"is nobody's of a product", "unknown_field", _("说商品的这一行不写买家")),
    _known(r"Object contains unknown field `(?P<it>.*)`", "unknown_field", _("没有字段 %(it)s")),
    _known(r"Expected `array` of length <= (?P<most>\d+)", "bad_length", _("最多 %(most)s 项")),
    _known(r"Expected `array` of length >= (?P<most>\d+)", "bad_length", _("至少要 %(most)s 项")),
    _known(r"Expected `\w+` of length <= (?P<most>\d+)", "bad_length", _("太长了，最多 %(most)s 个字符")),
    _known(r"Expected `\w+` of length >= (?P<most>\d+)", "bad_length", _("太短了，至少 %(most)s 个字符")),
    _known(r"Expected `\w+` <= (?P<most>-?\d+)", "out_of_range", _("不能大于 %(most)s")),
    _known(r"Expected `\w+` >= (?P<most>-?\d+)", "out_of_range", _("不能小于 %(most)s")),
    _known(r"Expected `\w+` matching regex.*", "bad_characters", _("含有不能用的字符")),
    _known(r"Expected `datetime` with a timezone.*", "no_timezone", _("时间要带时区，例如 2026-01-15T14:30:00+08:00")),
    _known(r"Invalid RFC3339 encoded date", "bad_date", _("日期要写成 1986-05-04 这样")),
    _known(r"Invalid RFC3339.*", "bad_time", _("时间要写成 2026-01-15T14:30:00+08:00 这样")),
    _known(r"Expected `(?P<wanted>.*)`, got `(?P<it>.*)`", "bad_type", _("应是 %(wanted)s，收到的是 %(it)s")),
    _known(r"Expected `(?P<wanted>[^`]*)`(?:, got .*)?", "bad_type", _("应是 %(wanted)s")),
    _known(r"Invalid enum value '?(?P<it>.*?)'?", "bad_choice", _("没有这个选项：%(it)s")),
    _known(r"is longer than (?P<most>\d+) bytes", "too_large", _("一行最多 %(most)s 字节")),
    _known(r"holds more than (?P<most>\d+) values", "too_large", _("一行最多 %(most)s 个值")),
    _known(r"is nested too deeply", "too_deep", _("套得太深")),
    # The whole call
    _known(r"The body is not UTF-8: byte (?P<it>\d+)\.", "not_utf8", _("正文不是 UTF-8：第 %(it)s 个字节")),
    _known(
        r"The body is not JSON: Input data was truncated, line (?P<line>\d+) column (?P<it>\d+)",
        "not_json",
        _("正文不是完整的 JSON：到第 %(line)s 行第 %(it)s 列就断了"),
    ),
    _known(
        r"The body is not JSON: .*, line (?P<line>\d+) column (?P<it>\d+)",
        "not_json",
        _("正文不是 JSON：第 %(line)s 行第 %(it)s 列不对"),
    ),
    _known(r"The body is nested too deeply\.", "too_deep", _("正文套得太深")),
    _known(r"The key '(?P<it>.*)' appears twice\.", "repeated", _("%(it)s 写了两次")),
    _known(r"(?P<it>\w+): give nothing else.*", "unknown_field", _("除了 %(it)s 不要写别的")),
    _known(r"(?P<it>\w+): give at least one row\.", "no_rows", _("%(it)s：至少要有一行")),
    _known(r"\w+: more than (?P<most>\d+) rows; .*", "too_many_rows", _("一次最多 %(most)s 行，请分几次发")),
    _known(r"The body holds more than (?P<most>\d+) values; .*", "too_large", _("一次最多 %(most)s 个值，请分几次发")),
    _known(r"Request body exceeded.*", "too_large", _("正文太大")),
    _known(r"Idempotency-Key: 1 to 128.*", "bad_key", _("Idempotency-Key 应是 1 到 128 个可见字符")),
    _known(r"This Idempotency-Key was used.*", "key_used", _("这个 Idempotency-Key 已经用在别的请求上")),
    _known(r"Unknown or revoked token\.", "authentication_failed", _("没有这个令牌，或者已经停用")),
    _known(r"This token may not read\.", "permission_denied", _("这个令牌不能读")),
    _known(r"This token has no channel.*", "permission_denied", _("这个令牌没有渠道，不能推送")),
    # Parameters
    _known(r"Wrong query parameters\.", "invalid", _("参数不对")),
    _known(r"unknown parameter", "unknown_parameter", _("没有这个参数")),
    _known(r"give it once", "repeated", _("只能写一次")),
    _known(r"must be 1 to (?P<most>\d+)", "out_of_range", _("应是 1 到 %(most)s")),
]  # fmt: skip


def told(said: str) -> tuple[str, str]:
    """The code of what is wrong, and the words for it in the language of the request."""
    for known in _TABLE:
        if match := known.said.fullmatch(said):
            is_english = (get_language() or "").startswith("en")
            return known.code, said if is_english else str(known.words) % match.groupdict()
    field, colon, rest = said.partition(": ")
    code, words = told(rest) if colon else ("invalid", said)
    return code, f"{field}{colon}{words}" if colon else said
