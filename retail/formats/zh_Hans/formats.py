"""How a moment is written, on all pages alike: 2026-11-22 07:22."""

DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i"
