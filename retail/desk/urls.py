"""Pages that join several rooms."""

from django.urls import path

from retail.desk import doors

urlpatterns = [
    path("", doors.doors, name="doors"),
    path("doors/", doors.enter, name="enter"),
]
