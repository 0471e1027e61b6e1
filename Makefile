# Two commands matter: `make demo` and `make test`. Both install what they need into .venv first.

PYTHON ?= python3
PY := .venv/bin/python
CODE := retail members commissions clerks
# Processes that share the tests; each makes a database of its own, which pays off from about half a minute of tests.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: font help demo test test-full check bench bench-full bench-leads screenshots messages lock clean system
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.demo font ## the product with a made-up world in it (RESET=1 starts over; PORT=8080, SCALE=0.05)
	@$(PY) manage.py demo $(if $(RESET),--reset) $(if $(PORT),--port $(PORT)) $(if $(SCALE),--scale $(SCALE))

test: .venv/.test system ## the quick suite, a few minutes; the browser tests run last (ARGS="-k points" picks some)
	$(PY) -m pytest --ignore=tests/e2e -n $(WORKERS) --dist worksteal $(ARGS)
	$(if $(wildcard tests/e2e/test_*.py),$(PY) -m pytest tests/e2e -n $(WORKERS) --dist worksteal $(ARGS))

test-full: export DAOGOU_TEST_SIZE = full
test-full: test ## the same with full sizes: more random worlds, more orders, more kills

# A production-like environment for `check --deploy`; nothing connects anywhere.
DEPLOYED = DATABASE_URL=postgresql:///daogou ALLOWED_HOSTS=daogou.example DAOGOU_BROKER_URL=memory:// \
	SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(60))') \
	DAOGOU_PRIVACY_KEYS=1:$$($(PY) -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())')

check: .venv/.test ## lint, types, import layers, templates, deployment settings, migrations, known vulnerabilities
	$(PY) -m ruff check .
	DAOGOU_TESTING=true $(PY) -m mypy $(CODE)
	$(PY) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'
	$(if $(wildcard templates),$(PY) -m djlint templates --lint --quiet)
	$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING
	DAOGOU_TESTING=true $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(audit)

# Vulnerable packages always fail. That the lists could not be asked is no fault of the tree: it is said, loudly, and in
# CI only after three tries.
audit = for try in 1 $(if $(filter true,$(CI)),2 3); do \
	said=$$(timeout 120 $(PY) -m pip_audit -r constraints.txt --no-deps --disable-pip 2>&1); done=$$?; \
	case "$$said" in \
		*"Found "*"known vulnerabilit"*) echo "$$said"; exit 1;; \
		*"could not be audited"* | "") ;; \
		*) if [ $$done = 0 ]; then echo "pip-audit: $$said" | tail -n 1; exit 0; fi;; \
	esac; \
	[ $$try = 3 ] || [ "$$CI" != true ] || sleep 10; \
	done; \
	echo "!!! pip-audit: NOT AUDITED. The lists of known vulnerabilities could not be reached: run 'make check' again." >&2

bench: .venv/.test ## speeds measured on this machine, quick sizes (ARGS="bulk csv --write" picks, and keeps in docs)
	$(PY) -m tests.bench $(ARGS)

bench-full: .venv/.test ## speeds measured on this machine, full sizes
	$(PY) -m tests.bench --full $(ARGS)

bench-leads: .venv/.test ## how well purchases are foretold on a public log, and what scoring a million members costs
	$(PY) -m tests.bench --full $(ARGS) foretelling intent

screenshots: .venv/.test system ## pictures of the pages for the documentation
	$(PY) -m tests.e2e.screenshots

# The catalogue of the admin theme's Chinese is written by hand and only compiled here.
messages: .venv/.test ## the English catalogue: takes in new texts, compiles (needs gettext)
	DAOGOU_TESTING=true $(PY) manage.py makemessages --locale en --no-location --no-wrap --no-obsolete \
		--ignore .venv --ignore tests --ignore var
	for one in retail/locale/*/LC_MESSAGES/django.po; do msgfmt --check-format -o $${one%.po}.mo $$one || exit 1; done

lock: .venv/.made ## constraints.txt anew: the newest versions that pyproject.toml allows
	@$(call requirements,demo prod bench train test) > .venv/all.txt
	$(PY) -m pip install -q --disable-pip-version-check --upgrade --upgrade-strategy eager -r .venv/all.txt
	$(PY) -m pip freeze | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' > constraints.txt

clean: ## remove .venv, var and caches; stops a running demo first, asks nothing
	@$(PYTHON) -P retail/embedded.py
	rm -rf .venv var build *.egg-info .coverage .coverage.* .hypothesis .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What Python's packages cannot bring. Root on Debian or Ubuntu gets it installed, anybody else is told the line to run;
# tests that miss it are skipped, or fail where CI=true.
system:
	@missing=""; \
	command -v chromium chromium-browser google-chrome >/dev/null || missing="$$missing chromium"; \
	ls /usr/share/fonts/*/*/NotoSansCJK* >/dev/null 2>&1 || missing="$$missing fonts-noto-cjk"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	[ -z "$$missing" ] || { $(call apt,$$missing); } || true

# What posters are written with. Without it the demo runs, only draws none, and says so.
font:
	@ls $${DAOGOU_FONT:-/usr/share/fonts/*/*/NotoSansCJK*} >/dev/null 2>&1 || { $(call apt,fonts-noto-cjk); } || true

# $(call apt,packages): RUNLEVEL=1 keeps Debian from starting the services it installs.
APT = DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq
apt = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing" $(1) "…"; \
	{ $(APT) update && $(APT) install --no-install-recommends $(1); } >/dev/null </dev/null; \
	else echo "Missing:" $(1) "(Debian, Ubuntu: apt-get install --no-install-recommends" $(1)")" >&2; false; fi

# $(call requirements,extras): what pyproject.toml asks for, one a line. The project itself is never installed: it runs
# from its folder.
requirements = $(PY) -c 'import sys, tomllib; \
	project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	extras = [line for name in sys.argv[1:] for line in project["optional-dependencies"][name]]; \
	print(*project["dependencies"], *(line for line in extras if not line.startswith("daogou[")), sep="\n")' $(1)

install = @echo "Installing Python packages ($(1)) …"; \
	$(call requirements,$(1)) > $@.txt && $(PY) -m pip install -qq --disable-pip-version-check \
		-c constraints.txt -r $@.txt && touch $@

.venv/.demo: pyproject.toml constraints.txt | .venv/.made
	$(call install,demo)

.venv/.test: pyproject.toml constraints.txt | .venv/.made
	$(call install,demo prod bench train test)

.venv/.made:
	@command -v $(PYTHON) >/dev/null || { $(call apt,python3 python3-venv); }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is older. Name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call apt,python3-venv); }
	@$(PYTHON) -m venv .venv && touch $@
