"""Words for customers are in their language, not in that of the browser of the clerk who sends them."""

from django.utils import translation

from clerks.pages import scripts
from retail.models import Post
from tests.factories import NOW, World, world


def test_a_clerk_with_an_english_browser_sends_chinese_words(everything: None) -> None:
    shop: World = world()
    post = Post.objects.filter(staff=shop.hire("A1")).select_related("staff", "store").get()
    with translation.override("zh-hans"):
        chinese = scripts.of(post=post, name="小鹿", now=NOW) + scripts.of(post=post, name="", now=NOW)
    with translation.override("en"):
        english = scripts.of(post=post, name="小鹿", now=NOW) + scripts.of(post=post, name="", now=NOW)
    assert english[0].title == "Say hello"
    assert [one.text for one in english] == [one.text for one in chinese]
    assert english[0].text.startswith("小鹿，您好！我是")
