"""Pages that join several rooms."""

from django.urls import path

from retail.desk import doors, switch

urlpatterns = [
    path("", doors.doors, name="doors"),
    path("doors/", doors.enter, name="enter"),
    path("post/", switch.switch, name="switch"),
]
