"""Materials, links of clerks to them, and openings of the links, as rows."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from clerks.materials.models import Material, MaterialVersion, Share
from retail.models import Staff, Store
from tests.factories import LONG_AGO, NOW, World, number


def material(shop: World, name: str = "", *, version: dict[str, Any] | None = None, **fields: Any) -> MaterialVersion:
    """A page that can be sent, approved long ago unless `version`, fields of what it says, has another state."""
    made = Material.objects.create(
        brand=shop.brand, **{"kind": "link", "name": name or f"素材{number()}", "made_at": LONG_AGO, **fields}
    )
    said = {"state": "approved", "title": made.name, **(version or {})}
    return MaterialVersion.objects.create(material=made, number=1, made_at=LONG_AGO, **said)


def approve(version: MaterialVersion) -> None:
    """From now on it takes no files and says nothing else."""
    version.state = "approved"
    version.save(update_fields=["state"])


def share(version: MaterialVersion, staff: Staff, store: Store, *, at: datetime = LONG_AGO, **fields: Any) -> Share:
    """A link of that clerk."""
    said = {"code": f"L{number()}", "via": "chat", "made_at": at, **fields}
    brand = version.material.brand
    return Share.objects.create(
        brand=brand, material=version.material, version=version, staff=staff, store=store, **said
    )


def opening(
    share: Share, member_id: int | None = None, *, at: datetime = NOW, visitor: UUID | None = None, seconds: int = 0
) -> None:
    """Somebody opened it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT make_opening_month(%s)", [at.date()])
        cursor.execute(
            "INSERT INTO materials_opening (at, share_id, visitor, member_id, seconds) VALUES (%s, %s, %s, %s, %s)",
            [at, share.pk, visitor, member_id, seconds],
        )
