"""manage.py rotate_privacy_keys: seal all buyer identities with the newest key; check whether an older one may go."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from retail import privacy, rotation
from retail.management.base import TablesCommand


class Command(TablesCommand):
    help = (
        "Seal every value with the newest key and for its own row, in batches; interrupted, it goes on where it was. "
        "--new puts a fresh key in front of the key file first; --drop N takes key N out of it, unless it is in use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--new", action="store_true", help="make a new key in the key file")
        parser.add_argument("--drop", type=int, metavar="ID", help="take a key away that seals nothing any more")
        parser.add_argument("--batch", type=int, default=2000, metavar="ROWS")

    def handle(self, *args: Any, new: bool, drop: int | None, batch: int, **options: Any) -> None:
        if faults := rotation.faults():
            raise CommandError(" ".join(faults))
        if drop is not None:
            self._drop(drop)
        else:
            self._rotate(new=new, batch=batch)

    def _rotate(self, *, new: bool, batch: int) -> None:
        if new:
            self._add()
        count = 0
        for done in rotation.rotate(batch=max(1, batch)):
            count += done
            self.stdout.write(f"{count} re-encrypted")
        used = ", ".join(f"key {key_id}: {rows}" for key_id, rows in rotation.sealed_by().items()) or "none"
        self.stdout.write(f"Done. Values by key: {used}.")

    def _add(self) -> None:
        ids = privacy.key_ids()
        free = next((key_id for key_id in range(1, 256) if key_id not in ids), None)
        if free is None:
            raise CommandError("All 255 key ids are used.")
        spelled = [privacy.new_key(free), *self._file()]
        privacy.write_key_file(settings.PRIVACY_KEY_FILE, spelled, replace=True)
        self.stdout.write(f"Key {free} is new. Other processes read with it at once, and seal with it once restarted.")

    def _drop(self, key_id: int) -> None:
        try:
            rotation.refuse_drop(key_id)
        except rotation.KeyInUse as error:
            raise CommandError(str(error))
        if settings.PRIVACY_KEYS:
            self.stdout.write(f"Key {key_id} seals nothing: take it out of DAOGOU_PRIVACY_KEYS.")
            return
        kept = [item for item in self._file() if item.partition(":")[0] != str(key_id)]
        privacy.write_key_file(settings.PRIVACY_KEY_FILE, kept, replace=True)
        self.stdout.write(f"Key {key_id} is gone from the key file.")

    def _file(self) -> list[str]:
        if settings.PRIVACY_KEYS:
            raise CommandError("The keys come from DAOGOU_PRIVACY_KEYS: put the new one in front there.")
        return list(settings.PRIVACY_KEY_FILE.read_text().split())
