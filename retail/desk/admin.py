"""What Django's search for admin pages finds: without it the pages of the desk would be there only once URLs are."""

from retail.desk import site  # noqa: F401
