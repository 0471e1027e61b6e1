"""Files that go with a welcome: WeCom has them before it is needed, gets them again in time, or goes without."""

from typing import Any

import pytest
from django.utils import timezone

from clerks.models import Greeting, Notice, Welcome, WelcomePart
from retail import jobs, tasks
from retail.jobs import Job
from retail.models import Post
from retail.wecom import media
from retail.wecom.errors import Rejected
from retail.wecom.gateway import Gateway
from retail.wecom.models import Media
from tests.factories.corp import CUSTOMER, LI, Corp
from tests.wecom_server import CORP

SEND, UPLOAD = "externalcontact/send_welcome_msg", "media/upload"
PNG, MP4 = b"\x89PNG\r\n\x1a\n....", b"\x00\x00\x00\x18ftypmp42...."
DAY = 86_400


def kept(kind: str = "image", name: str = "海报.png", content: bytes = PNG) -> Media:
    return media.keep(media=Media(corp_id=CORP, kind=kind, name=name), content=content, now=timezone.now())


@pytest.fixture
def corp(wecom_corp: Corp) -> Corp:
    """A welcome with a file of each kind, and a link; WeCom has the files."""
    welcome = Welcome.objects.create(name="通用", brand=wecom_corp.shop.brand, text="您好")
    image, video, file = kept(), kept("video", "穿搭.mp4", MP4), kept("file", "尺码表.pdf", b"%PDF-1.7")
    card = {"title": "小程序", "appid": "wx1", "page": "pages/index"}
    for kind, given in (
        ("image", {"media": image}),
        ("miniprogram", {"media": image, **card}),
        ("video", {"media": video}),
        ("file", {"media": file}),
        ("link", {"title": "上新", "url": "https://example.test/new"}),
    ):
        WelcomePart.objects.create(welcome=welcome, kind=kind, **given)
    wecom_corp.work()
    return wecom_corp


def meet(corp: Corp) -> Greeting:
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.happen()
    return Greeting.objects.get()


def sent(corp: Corp) -> list[str]:
    return [one["msgtype"] for one in corp.asked(SEND)[-1]["body"]["attachments"]]


def test_files_are_there_before_anybody_comes(corp: Corp) -> None:
    assert len(corp.asked(UPLOAD)) == 3
    greeting = meet(corp)
    assert (greeting.state, greeting.left_out, greeting.attempts) == ("sent", 0, 1)
    assert sent(corp) == ["image", "miniprogram", "video", "file", "link"]
    assert len(corp.asked(UPLOAD)) == 3


def test_an_id_is_dead_after_three_days_and_a_new_one_is_had_in_time(corp: Corp) -> None:
    old = Media.objects.earliest("pk").media_id
    corp.server.control.advance(3 * DAY + 1)
    note = {"touser": LI, "agentid": corp.app.agent_id, "msgtype": "image", "image": {"media_id": old}}
    with pytest.raises(Rejected, match="40007"):
        Gateway(corp.app).call("POST", "message/send", body=note)
    greeting = meet(corp)
    assert (greeting.state, greeting.left_out, greeting.attempts) == ("sent", 0, 2)
    assert len(sent(corp)) == 5
    assert Media.objects.earliest("pk").media_id != old


def test_without_the_files_where_they_cannot_be_had(corp: Corp) -> None:
    corp.server.control.advance(3 * DAY + 1)
    corp.server.control.fault(UPLOAD, code=40009, times=99)
    greeting = meet(corp)
    assert (greeting.state, greeting.left_out) == ("sent", 4)
    assert sent(corp) == ["link"]
    assert greeting.took_ms is not None and greeting.took_ms < 18_000


def test_a_file_on_its_way_holds_nobody_up(corp: Corp) -> None:
    """It is uploaded by a job of the common queue; the welcome looks for it now and then, and holds no worker."""
    Media.objects.update(media_id="", uploaded_at=None)
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    job = Job.objects.get(queue=jobs.FAST)
    for _look in range(2):
        Job.objects.filter(pk=job.pk).update(due_at=timezone.now())
        jobs.run(ids=[job.pk], registry=tasks.REGISTRY)
    assert (len(corp.asked(UPLOAD)), len(corp.asked(SEND))) == (3, 0)  # as many as before anybody came
    uploads = Job.objects.pending().filter(kind=media.JOB)
    assert [one.queue for one in uploads] == ["", "", ""]
    jobs.run(ids=[one.pk for one in uploads], registry=tasks.REGISTRY)
    corp.work()
    greeting = Greeting.objects.get()
    assert (greeting.state, greeting.left_out, greeting.attempts, len(corp.asked(UPLOAD))) == ("sent", 0, 1, 6)


def test_a_file_whose_upload_failed_is_not_waited_for(corp: Corp) -> None:
    Media.objects.update(media_id="", uploaded_at=None)
    corp.server.control.fault(UPLOAD, kind="status", code=502, times=3)
    media.refresh(now=timezone.now())
    uploads = Job.objects.pending().filter(kind=media.JOB)
    jobs.run(ids=[one.pk for one in uploads], registry=tasks.REGISTRY)
    corp.act("add", userid=LI, external_userid=CUSTOMER)
    corp.deliver(*corp.told())
    jobs.run(ids=[Job.objects.get(queue=jobs.FAST).pk], registry=tasks.REGISTRY)
    greeting = Greeting.objects.get()
    assert (greeting.state, greeting.left_out) == ("sent", 4)


def test_they_are_given_again_before_they_are_forgotten(corp: Corp) -> None:
    assert tasks.refresh_media() == 0
    Media.objects.update(uploaded_at=timezone.now() - media.LIFE + media.AHEAD)
    before = set(Media.objects.values_list("media_id", flat=True))
    Media.objects.filter(kind="video").update(is_active=False)
    assert tasks.refresh_media() == 2
    corp.work()
    assert len(before & set(Media.objects.values_list("media_id", flat=True))) == 1
    assert tasks.refresh_media() == 0


def test_what_wecom_does_not_take_says_so_once(corp: Corp) -> None:
    operator = corp.shop.hire("ops", role=Post.Role.HQ_OPS)
    Media.objects.filter(kind="video").update(media_id="")
    corp.server.control.fault(UPLOAD, code=40009, times=99)
    for _turn in range(2):
        tasks.refresh_media()
        corp.work()
    video = Media.objects.get(kind="video")
    assert "40009" in video.trouble
    notice = Notice.objects.get()
    assert (notice.kind, notice.staff, notice.is_todo) == ("media_trouble", operator, True)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("image", "a.png", b"GIF89a......"),
        ("image", "a.webp", PNG),
        ("video", "a.mp4", PNG),
        ("file", "a.pdf", b"%PDF"),
        ("image", "a.png", PNG + bytes(10 * media.MEGA)),
    ],
    ids=["no picture", "another ending", "no video", "too small", "too large"],
)
def test_what_wecom_would_not_take_is_not_kept(kind: str, name: str, content: bytes) -> None:
    with pytest.raises(media.Unfit):
        media.check(kind=kind, name=name, content=content)


def test_several_who_need_it_upload_it_once(corp: Corp) -> None:
    """Whoever waited for the other one's upload finds its id."""
    file = Media.objects.earliest("pk")
    stale: Any = Media.objects.get(pk=file.pk)
    Media.objects.update(media_id="", uploaded_at=None)
    asked = len(corp.asked(UPLOAD))
    first = media.upload(file, app=corp.app, now=timezone.now())
    assert media.upload(stale, app=corp.app, now=timezone.now()) == first
    assert len(corp.asked(UPLOAD)) == asked + 1
