"""Pages on the way into the admin."""

from django.urls import path

from retail.desk import entrance, wecom_door

app_name = "entrance"
urlpatterns = [
    path("verify/", entrance.verify, name="verify"),
    path("enrol/", entrance.enrol, name="enrol"),
    path("wecom/", wecom_door.go, name="wecom"),
    path("wecom/back/", wecom_door.back, name="wecom_back"),
    path("again/", entrance.again, name="again"),
    path("safety/", entrance.safety, name="safety"),
    path("safety/codes/", entrance.codes, name="codes"),
    path("safety/end-others/", entrance.end_others, name="end_others"),
]
