"""What customers open: everything below /s/. Nobody signs in here."""

from django.urls import path

from clerks.pages.views import shared, shared_files

app_name = "shared"
urlpatterns = [
    path("<str:code>", shared.link, name="link"),
    path("<str:code>/look", shared.look, name="look"),
    path("<str:code>/back", shared.back, name="back"),
    path("<str:code>/stay", shared.stay, name="stay"),
    path("<str:code>/forget", shared.forget, name="forget"),
    path("<str:code>/code.png", shared_files.code_picture, name="code"),
    path("<str:code>/cover.jpg", shared_files.cover, name="cover"),
    path("<str:code>/poster.jpg", shared_files.poster, name="poster"),
    path("<str:code>/<int:place>.jpg", shared_files.picture, name="picture"),
    path("<str:code>/<int:place>.mp4", shared_files.video, name="video"),
    path("<str:code>/<int:place>/file", shared_files.file, name="file"),
]
