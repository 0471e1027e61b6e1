"""Which of one's posts to act in: rows and permissions follow it from the next request on."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from retail import gate
from retail.models import Post


@require_POST
@login_required
def switch(request: HttpRequest) -> HttpResponse:
    """Act in `post`. Only posts of one's own, held now, can be chosen."""
    post = gate.choose(request=request, wanted=request.POST.get("post", ""))
    if post is None:
        raise PermissionDenied(_("这不是您现在的岗位。"))
    # A manager has a phone, too, and stays on it.
    is_on_phone = request.POST.get("room") == "phone" and post.role == Post.Role.STORE_MANAGER
    return redirect("clerks:home" if post.role == Post.Role.CLERK or is_on_phone else "admin:index")
