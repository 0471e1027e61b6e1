"""The one settings file. Every value that differs between installations comes from the environment.

Variables (see docs/settings.md for the full table):
DATABASE_URL, SECRET_KEY, ALLOWED_HOSTS, DAOGOU_DEMO, DAOGOU_VAR, DAOGOU_BROKER_URL, DAOGOU_PRIVACY_KEYS.
"""

from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# ── What kind of installation is this ────────────────────────────────────────────────────────────────────────────────
DEMO = env.bool("DAOGOU_DEMO", default=False)  # one-click sign-in, seeded secrets; never in production
TESTING = env.bool("DAOGOU_TESTING", default=False)  # set by tests/conftest.py
DEBUG = False  # never: pages with tracebacks have no place in a shop
VAR_DIR = Path(env.str("DAOGOU_VAR", default=str(BASE_DIR / "var")))

_DEMO_SECRET = "demo-only-secret-that-production-refuses-to-start-with"
SECRET_KEY = env.str("SECRET_KEY", default=_DEMO_SECRET if DEMO or TESTING else "")
if not (DEMO or TESTING) and (len(SECRET_KEY) < 50 or SECRET_KEY == _DEMO_SECRET):
    raise ImproperlyConfigured("SECRET_KEY must be set to at least 50 random characters (or start with `make demo`).")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "testserver"] if DEMO or TESTING else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# ── Applications ─────────────────────────────────────────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "retail.desk.theme.ThemeConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "csp",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_celery_beat",
    "django_htmx",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "axes",
    "retail",
    "retail.wecom",
    "retail.desk",  # no tables: its admin pages are to be found with all others
    "members",
    "commissions",
    "clerks",
    "clerks.leads",
    "clerks.materials",
]
AUTH_USER_MODEL = "retail.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "retail.hardening.HardeningMiddleware",  # what is too large is not read; the admin has a policy of its own
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "retail.hardening.ExactAddressMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",  # which device, if any, has confirmed this session
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "retail.gate.PostMiddleware",  # the chosen post of the user becomes the scope of the request
    "retail.gate.SecondFactorMiddleware",  # below /admin/ nobody without one
    "retail.gate.FreshLoginMiddleware",  # and nothing grave is done there without fresh proof
    "axes.middleware.AxesMiddleware",  # says so when sign-in is locked
]
ROOT_URLCONF = "retail.urls"
WSGI_APPLICATION = "retail.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["retail.templatetags.figures"],  # fen as yuan, ppm as percent: on every page
        },
    },
]

# ── PostgreSQL, the only database ────────────────────────────────────────────────────────────────────────────────────
# Its user says who this process is: daogou_web, daogou_job, or daogou_owner for migrations (retail.logins).
DATABASES = {
    "default": {
        **env.db_url("DATABASE_URL", default="postgresql:///daogou"),
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": env.int("DAOGOU_CONN_MAX_AGE", default=600),
        "CONN_HEALTH_CHECKS": True,
    },
}

# ── Celery: PostgreSQL is the queue, the broker only a doorbell (docs/adr/0004) ──────────────────────────────────────
CELERY_BROKER_URL = env.str(
    "DAOGOU_BROKER_URL", default="memory://" if DEMO or TESTING else "redis://127.0.0.1:6379/0"
)
# These two ask once a second unless told otherwise.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = (
    {"polling_interval": 0.05} if CELERY_BROKER_URL.startswith(("memory", "filesystem")) else {}
)
if CELERY_BROKER_URL.startswith("filesystem://"):  # filesystem:///a/folder: for one machine without Redis
    _folder = CELERY_BROKER_URL.removeprefix("filesystem://")
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "data_folder_in": _folder,
        "data_folder_out": _folder,
        "control_folder": _folder,
    }
    CELERY_BROKER_URL = "filesystem://"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ROUTES = {"retail.sweep_fast": {"queue": "fast"}}  # beside what it rings for; all else is rung by its job
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Celery's own way is a new connection to the database for every task, which costs more than most jobs: whether one is
# kept says CONN_MAX_AGE, as for requests (retail.celery).
CELERY_DB_REUSE_MAX = 10**9
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "Asia/Shanghai"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

JOB_LEASE_SECONDS = env.int("DAOGOU_JOB_LEASE_SECONDS", default=60)
JOB_MAX_ATTEMPTS = env.int("DAOGOU_JOB_MAX_ATTEMPTS", default=8)
JOB_WORKER_CAPACITY = env.int("DAOGOU_JOB_WORKER_CAPACITY", default=200)  # jobs rung at once by one sweep

# ── Health ───────────────────────────────────────────────────────────────────────────────────────────────────────────
# Who may read /metrics: networks of callers (never that of a proxy in front), or whoever bears the token.
METRICS_FROM = env.list("DAOGOU_METRICS_FROM", default=["127.0.0.1"] if DEMO else [])
METRICS_TOKEN = env.str("DAOGOU_METRICS_TOKEN", default="")

# ── Personal data ────────────────────────────────────────────────────────────────────────────────────────────────────
# "id:base64 of 32 bytes", newest first; the first encrypts, all decrypt. Empty in demo: a key file is made once.
PRIVACY_KEYS = env.list("DAOGOU_PRIVACY_KEYS", default=[])
PRIVACY_KEY_FILE = VAR_DIR / "privacy.keys"
UNMASK_PER_DAY = env.int("DAOGOU_UNMASK_PER_DAY", default=20)  # whole numbers one person may see on one day
TAIL_SEARCHES_PER_DAY = env.int("DAOGOU_TAIL_SEARCHES_PER_DAY", default=100)  # of one clerk, in their own customers
# Fen that a recompute may move, without signs, before it takes a second person.
RECOMPUTE_ALONE_FEN = env.int("DAOGOU_RECOMPUTE_ALONE_FEN", default=500_000)
POINTS_ALONE = env.int("DAOGOU_POINTS_ALONE", default=1_000)
EXPORT_ROWS_PER_DAY = env.int("DAOGOU_EXPORT_ROWS_PER_DAY", default=2000)  # one person may take away alone

# ── WeCom (企业微信): the vendor's limits with a margin (docs/wecom.md) ──────────────────────────────────────────────
WECOM_API_URL = env.str("DAOGOU_WECOM_URL", default="https://qyapi.weixin.qq.com")
WECOM_OAUTH_URL = env.str("DAOGOU_WECOM_OAUTH_URL", default="https://open.weixin.qq.com")
# Where a browser outside WeCom shows a code to scan; "" where there is none (the simulator): then it asks right away.
WECOM_LOGIN_URL = env.str(
    "DAOGOU_WECOM_LOGIN_URL", default="" if DEMO or TESTING else "https://login.work.weixin.qq.com"
)
WECOM_TIMEOUT = (3, 8)  # seconds to connect, to answer
# By path, "" for all others: calls an hour, and how many of them at once (a minute's quota is burst + an hour's 60th).
WECOM_RATES = {
    "": (135_000, 5_000),
    "get_jsapi_ticket": (80, 15),
    "ticket/get": (80, 15),
    "sign_in": (
        240,
        60,
    ),  # no call, either: who comes back from WeCom's sign-in, from one address (a store shares one)
    "viewer": (3_600, 300),  # likewise, customers who open a link: those of one telephone company share addresses
    "js_sdk/refused": (30, 4),  # no call: pages saying that a ticket is refused, which fetches another one
    "externalcontact/add_moment_task": (240, 5),
}
WECOM_MEMBER_RATE = (980, 13)  # of message/send to one person; the vendor drops more without a word
WECOM_AT_ONCE = {"": 8, "externalcontact/mark_tag": 4}  # calls under way at the same time
WECOM_BREAKER = (5, 30)  # so many failures in a row close the line for so many seconds

# ── Outreach ─────────────────────────────────────────────────────────────────────────────────────────────────────────
# The address people reach this installation under: messages in the WeCom app open it. Empty = they are not sent.
SITE_URL = env.str("DAOGOU_SITE_URL", default="http://127.0.0.1:8000" if DEMO or TESTING else "")
OUTREACH_HOURS = (9, 21)  # between these hours of Shanghai customers may hear from us unasked
HELP_REMIND_MINUTES = env.int("DAOGOU_HELP_REMIND_MINUTES", default=30)  # of opening hours; then twice that, and so on
HELP_ESCALATE_HOURS = env.int("DAOGOU_HELP_ESCALATE_HOURS", default=4)  # likewise; then the level above has it
# So many times in so many days, by whomever and on whatever channel; a brand may set others (LeadPolicy).
OUTREACH_CAPS = ((1, 1), (2, 7), (6, 30))
# What posters are written with: complete Chinese. Its bold face is the file beside it that is called so.
FONT = env.str("DAOGOU_FONT", default="/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
DORMANT_DAYS = env.int("DAOGOU_DORMANT_DAYS", default=60)  # who bought since then is not asleep
WECOM_SYNC_HOUR = 3  # of the night, when everything is compared
WECOM_SYNC_BRAKE = (50_000, 20)  # ppm and number: if more than both would vanish at once, nothing does

# ── Language, time, money ────────────────────────────────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "zh-hans"
FORMAT_MODULE_PATH = ["retail.formats"]  # a moment is 2026-11-22 07:22 everywhere
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "retail" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

# ── Static files ─────────────────────────────────────────────────────────────────────────────────────────────────────
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEMO or TESTING  # the demo needs no collectstatic
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEMO or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}
MEDIA_ROOT = VAR_DIR / "media"

# ── Sign-in and cookies ──────────────────────────────────────────────────────────────────────────────────────────────
if TESTING:  # tests sign in thousands of times; what is slow on purpose is for those who guess
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not (DEMO or TESTING)
SECURE_HSTS_SECONDS = 0 if DEMO or TESTING else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not (DEMO or TESTING)
SECURE_REDIRECT_EXEMPT = [r"^healthz/", r"^metrics$"]  # asked by machines next door, without TLS
BEHIND_PROXY = env.bool("DAOGOU_BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SESSION_COOKIE_AGE = 30 * 24 * 3600  # of the phone; retail.gate shortens that of the admin
DESK_SESSION_SECONDS = 12 * 3600  # without a click
FRESH_LOGIN_SECONDS = 600  # what cannot be undone asks who you are again after this long
# The second gives the permissions of the chosen post only.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "retail.gate.PostBackend"]
OTP_TOTP_ISSUER = "导购台"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "retail.lockout.Handler"  # besides: of one address over all names, of one name over all addresses
SIGN_IN_FAILURES_OF_ADDRESS = 30
SIGN_IN_FAILURES_OF_NAME = 15
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # trying on does not lock the owner out for longer
AXES_CLIENT_IP_CALLABLE = "retail.gate.client_ip"
AXES_USERNAME_CALLABLE = "retail.gate.attempted_name"
AXES_LOCKOUT_CALLABLE = "retail.desk.entrance.locked"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code"]
AXES_DISABLE_ACCESS_LOG = True  # successes are nobody's business; the journal has what people did
AXES_ENABLE_ADMIN = False  # retail.admin has a page that only shows
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024  # 500 orders of 30 lines fit twice
UPLOAD_MAX_BYTES = {  # pages that take a file: one for customers, a list of members, the background of a poster
    "/admin/materials/postertemplate/": 21 * 1024 * 1024,
    "/admin/wecom/media/add/": 21 * 1024 * 1024,
    "/admin/members/memberimport/add/": 21 * 1024 * 1024,
    "/admin/materials/material/": 64 * 1024 * 1024,  # nine pictures of a telephone
    "/admin/materials/materialupload/add/": 155 * 1024 * 1024,
}
FORM_MAX_BYTES = 1024 * 1024  # what people send from pages; the feed may send DATA_UPLOAD_MAX_MEMORY_SIZE

# ── What a browser may do with our pages ─────────────────────────────────────────────────────────────────────────────
_SELF = ["'self'"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": _SELF,
        "style-src": _SELF,
        "img-src": [*_SELF, "data:"],
        "font-src": [*_SELF, "data:"],
        "connect-src": _SELF,
        "manifest-src": _SELF,
        "form-action": _SELF,
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    },
}
# The admin's theme is built on Alpine.js, which evaluates the attributes of its templates (x-data, x-show, x-bind) as
# code and writes style attributes. Without 'unsafe-eval' its search box covers every page and nothing can be clicked;
# Alpine's other build understands too little of those attributes. So it is allowed below /admin/ alone, where nobody
# gets without a second factor; inline scripts stay forbidden there, too.
ADMIN_CONTENT_SECURITY_POLICY = {
    **CONTENT_SECURITY_POLICY["DIRECTIVES"],
    "script-src": [*_SELF, "'unsafe-eval'"],
    "style-src": [*_SELF, "'unsafe-inline'"],
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in ("accelerometer", "camera", "geolocation", "gyroscope", "microphone", "payment", "usb")
)
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# ── API ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["retail.api.tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["retail.api.tokens.TokenThrottle"],
    "DEFAULT_THROTTLE_RATES": {"token": env.str("DAOGOU_API_RATE", default="1200/min")},
    "DEFAULT_VERSIONING_CLASS": None,
    "EXCEPTION_HANDLER": "retail.api.words.refusal",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Daogou feed and read API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",  # the shapes of the feed are JSON Schema 2020-12
    "POSTPROCESSING_HOOKS": [],  # each list of choices stands where it is used
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
}

# ── Admin ────────────────────────────────────────────────────────────────────────────────────────────────────────────
UNFOLD = {
    "SITE_TITLE": _("导购台"),
    "SITE_HEADER": _("导购台"),
    "SITE_SYMBOL": "storefront",
    "LOGIN": {"form": "retail.desk.wecom_door.SignInForm"},
    "DASHBOARD_CALLBACK": "retail.desk.dashboard.fill",
    "SHOW_HISTORY": lambda request: request.user.has_perm("retail.view_auditrow"),
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "THEME": "light",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("img/favicon.svg")},
    ],
    "STYLES": [lambda _request: static("css/desk.css")],
    "SCRIPTS": [lambda _request: static("js/dialogs.js")],
    "SIDEBAR": {"navigation": "retail.desk.menu.groups"},
    "ACCOUNT": {"navigation": "retail.desk.menu.account"},
    "COLORS": {  # one calm green for everything that can be pressed
        "primary": {
            "50": "oklch(97% .02 165)",
            "100": "oklch(94% .04 165)",
            "200": "oklch(89% .07 165)",
            "300": "oklch(82% .10 165)",
            "400": "oklch(72% .12 165)",
            "500": "oklch(62% .13 165)",
            "600": "oklch(53% .12 165)",
            "700": "oklch(45% .10 165)",
            "800": "oklch(38% .08 165)",
            "900": "oklch(32% .07 165)",
            "950": "oklch(24% .05 165)",
        },
    },
}

# ── Logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"privacy": {"()": "retail.logs.PrivacyFilter"}},
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["privacy"]}},
    # A page refused or not found is an answer, not a fault of ours: no traceback for it.
    "loggers": {
        # Django's own handlers know no filter: everything goes through the one above.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedModelAdminLookup": {"level": "CRITICAL"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
    },
    "root": {"handlers": ["console"], "level": env.str("DAOGOU_LOG_LEVEL", default="WARNING")},
}
