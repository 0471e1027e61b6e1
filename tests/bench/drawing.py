"""A clerk's poster, drawn for the first time and asked for again, against what was promised: 2 s and 50 ms."""

from collections.abc import Iterator

from clerks.materials import lettering, posters, shares
from clerks.materials.models import Share
from retail.models import Post
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW
from tests.factories import posters as scene

COLD, WARM = 2.0, 0.05  # seconds
MADE = (40, 200)  # posters: quick, full
ASKED = 5  # times each, later


def drawing(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """Each poster is another clerk's, of the largest background that is kept, with a picture from a telephone."""
    template = scene.template(shop.world, *scene.AREAS, width=1125, height=2000)
    shop.world.staff = dict(list(shop.world.staff.items())[:1])
    first = scene.share(shop.world, template, photo=scene.jpeg(1920, 2560), price_fen=89_900, text="很暖。" * 20)
    posts = list(Post.objects.filter(store__isnull=False).select_related("store", "staff"))
    made = [
        shares.make(post=posts[number % len(posts)], version=first.version, via="poster", now=NOW)
        for number in range(MADE[full])
    ]
    lettering._opened.cache_clear()  # as in a process that has just begun
    cold, warm = Way("drawn"), Way("asked for again")
    for one in made:
        _ask(cold, one, template)
    for one in made * ASKED:
        _ask(warm, one, template)
    yield Verdict(f"{len(made)} posters drawn, of 2 s each at most", max(cold.wall) / COLD, 1, [cold])
    notes = [f"95 in 100 within {warm.p95 * 1000:.0f} ms"]
    yield Verdict(
        f"{len(warm.wall)} asked for again, half of them within 50 ms", warm.median / WARM, 1, [warm], notes=notes
    )


def _ask(way: Way, share: Share, template: object) -> None:
    with way.turn():
        posters.picture(share=share, template=template, now=NOW, origin=scene.ORIGIN)
