# Every verb a person needs; `make help` lists them.

MODE    ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
PYTHON  ?= python3
T       ?=
FROM    ?=
ACCURACY_FROM ?=
BENCH_FLAGS ?=
PEERS_FLAGS ?=
CAPACITY_FLAGS ?=
INSTRUCTIONS_FLAGS ?=
IMAGE   ?= dgld
BASE    ?=

# The C library's takes a tenth of a request's time for its dozen blocks; sanitizers bring their own.
ALLOCATOR_release := jemalloc:libjemalloc-dev
# Pkg-config name and the Debian package that brings it. The loader looks for each symbol in the order in
# which they stand: those that have most to bind come first, which is a tenth of its work.
LIBRARIES := openblas:libopenblas-pthread-dev $(ALLOCATOR_$(MODE)) sqlite3:libsqlite3-dev \
             gnutls:libgnutls28-dev libmicrohttpd:libmicrohttpd-dev jansson:libjansson-dev \
             libuv:libuv1-dev nettle:nettle-dev zlib:zlib1g-dev yaml-0.1:libyaml-dev \
             libprotobuf-c:libprotobuf-c-dev
# these are loaded when they are first needed: core/late_library.h
LATE_LIBRARIES := libcurl:libcurl4-gnutls-dev libpq:libpq-dev libzip:libzip-dev
TEST_LIBRARIES := cmocka:libcmocka-dev
# the schema of ONNX, and what makes C of it
ONNX_PROTO ?= /usr/include/onnx/onnx.proto
PROTOC_C   ?= protoc-c
# how a target builds what it needs, unless the user said -j: one compiler a core
PARALLEL  = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
pc_names  = $(foreach l,$(1),$(firstword $(subst :, ,$(l))))

# what strangers send is parsed: an overrun that got through our own checks would end the process. Results
# that are left unused are marked (void), which the headers take no note of once they are fortified.
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -Wno-unused-result
LDFLAGS_release := -Wl,-z,relro,-z,now
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all \
                  -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
# these two are clang's: `make fuzz` and `make coverage` set CC. The macro is what gcc says of itself.
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
                  -fno-omit-frame-pointer -D__SANITIZE_ADDRESS__=1
CFLAGS_coverage := -O1 -g -fprofile-instr-generate -fcoverage-mapping
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes $(if $(CI),-Werror)

# lib/ is where `make` puts what it makes; nothing is written outside of build/
OUT      := build/$(MODE)
SOURCES  := $(wildcard core/*.c proto/*.c server/*.c)
# the dashboard, bundled; where that cannot be, a page that says so
WEB      := build/web
WEB_FILES := $(WEB)/index.html $(WEB)/app.js $(WEB)/app.css $(WEB)/icon.svg
BUNDLE_FLAGS := --outdir=$(WEB) --bundle --minify --format=esm --legal-comments=none --log-level=warning \
                --target=chrome123,firefox120,safari17.5 --jsx=automatic --jsx-import-source=preact
WEB_SOURCES := $(wildcard server/web/dashboard/*.* server/web/dashboard/src/*.* server/web/dashboard/src/*/*.*)
# files that the program carries inside
EMBEDDED := proto/openapi.yaml server/web/docs.html $(WEB_FILES)
# the same for every MODE: made from the schema, and of the libraries that are loaded late
GENERATED := build/generated
GENERATED_HEADERS := $(GENERATED)/onnx.pb-c.h $(GENERATED)/late_sonames.h
LATE_HEADERS := $(foreach l,$(call pc_names,$(LATE_LIBRARIES)),$(wildcard proto/$(l).h server/$(l).h))
LATE     := $(LATE_HEADERS:%.h=$(GENERATED)/late/%.so)
OBJECTS  := $(SOURCES:%.c=$(OUT)/%.o) $(EMBEDDED:%=$(OUT)/%.o) $(OUT)/onnx.pb-c.o
LIB_OBJECTS := $(filter-out $(OUT)/server/main.o,$(OBJECTS))
TEST_SOURCES := $(wildcard tests/unit/test_*.c)
TEST_PROGRAMS := $(TEST_SOURCES:%.c=$(OUT)/%)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_PROGRAMS := $(FUZZ_SOURCES:%.c=$(OUT)/%)
BENCH_PROGRAMS := $(patsubst %.c,$(OUT)/%,$(wildcard tests/bench/*.c))
BINARY   := $(if $(filter release,$(MODE)),build/dgld,$(OUT)/dgld)

BUILD_FLAGS = -std=c17 -D_POSIX_C_SOURCE=200809L $(WARNINGS) $(CFLAGS_$(MODE)) -I. -isystem $(GENERATED) -MMD -MP \
              $(shell pkg-config --cflags $(call pc_names,$(LIBRARIES) $(LATE_LIBRARIES))) $(CFLAGS)
BUILD_LIBS  = $(shell pkg-config --libs $(call pc_names,$(LIBRARIES))) -lm -lpthread \
              $(LDFLAGS_$(MODE)) $(LDFLAGS)

.DEFAULT_GOAL := build
.PHONY: help build run deps deps-test deps-lint test test-long unit-programs fuzz-programs check-sanitizers \
        check-sanitizers-api fuzz fuzz-minimise coverage lint analyze format format-check bench bench-peers \
        instructions capacity figures hyperparameters pretrained reproduce data install uninstall deb \
        image image-rootfs clean check-libraries check-test-libraries

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

build: check-libraries ## build build/dgld (default); MODE=asan or tsan for the sanitizers
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory $(BINARY)

run: deps ## install what is missing, build, and serve on 127.0.0.1:8080
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory build
	./build/dgld serve

# ---- dependencies --------------------------------------------------------------------------------

deps: ## install what building and running needs (Debian packages)
	$(Q)deploy/install-deps.sh build web

deps-test: ## install what the tests need besides
	$(Q)deploy/install-deps.sh build web test

deps-lint: ## install what `make lint` needs besides
	$(Q)deploy/install-deps.sh build test lint

define require_libraries
	$(Q)command -v pkg-config >/dev/null || \
	    { echo "pkg-config is missing: apt-get install pkg-config, or make deps" >&2; exit 1; }
	$(Q)for l in $(1); do pkg-config --exists "$${l%%:*}" || \
	    { echo "$${l%%:*} is missing: apt-get install $${l##*:}, or make deps" >&2; exit 1; }; done
endef

check-libraries:
	$(call require_libraries,$(LIBRARIES) $(LATE_LIBRARIES))
	$(Q)command -v $(PROTOC_C) >/dev/null || \
	    { echo "protoc-c is missing: apt-get install protobuf-c-compiler, or make deps" >&2; exit 1; }
	$(Q)test -r $(ONNX_PROTO) || \
	    { echo "$(ONNX_PROTO) is missing: apt-get install libonnx-dev, or make deps" >&2; exit 1; }

check-test-libraries: check-libraries
	$(call require_libraries,$(TEST_LIBRARIES))

# ---- objects and programs ------------------------------------------------------------------------

$(BINARY): $(OBJECTS)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS_$(MODE)) -o $@ $(OBJECTS) $(BUILD_LIBS)

$(OUT)/libdgld.a: $(LIB_OBJECTS)
	@echo "  AR    $@"
	$(Q)rm -f $@ && ar rcs $@ $(LIB_OBJECTS)

$(OUT)/%.o: %.c Makefile
	@echo "  CC    $<"
	$(Q)mkdir -p $(@D) && $(CC) $(BUILD_FLAGS) -c -o $@ $<

$(GENERATED)/onnx.pb-c.c $(GENERATED)/onnx.pb-c.h &: $(ONNX_PROTO) Makefile
	@echo "  PROTO $<"
	$(Q)mkdir -p $(GENERATED) && $(PROTOC_C) --c_out=$(GENERATED) -I$(dir $(ONNX_PROTO)) $(notdir $(ONNX_PROTO))

$(OUT)/onnx.pb-c.o: $(GENERATED)/onnx.pb-c.c Makefile
	@echo "  CC    $<"
	$(Q)mkdir -p $(@D) && $(CC) $(BUILD_FLAGS) -w -c -o $@ $<

$(OUT)/proto/onnx.o $(OUT)/tests/unit/test_onnx.o: $(GENERATED)/onnx.pb-c.h

# What the program would be linked to, were it not loaded late: a shared object that refers to each
# function that libx.h lists, and needs nothing but their library. It is read, by readelf, ldd and
# dpkg-shlibdeps, and never loaded.
$(LATE): $(GENERATED)/late/%.so: %.h core/late_library.h Makefile
	@echo "  LATE  $@"
	$(Q)mkdir -p $(@D) && printf '#include "%s"\n%s(LATE_REFERENCE)\n' $< \
	    $$(basename $* | tr a-z A-Z)_FUNCTIONS | $(CC) -std=c17 -fPIC -shared -nostdlib -I. \
	    $(shell pkg-config --cflags $(notdir $*)) -Wl,--as-needed,--no-undefined -o $@ \
	    -x c - -x none $(shell pkg-config --libs $(notdir $*))

# by what name the loader knows each library
$(GENERATED)/late_sonames.h: $(LATE)
	$(Q)for l in $(LATE); do \
	    printf '#define %s_SONAME "%s"\n' $$(basename $$l .so | tr a-z A-Z) \
	        $$(readelf -d $$l | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); done >$@

$(LATE_HEADERS:%.h=$(OUT)/%.o) $(OUT)/tests/unit/test_late_library.o: $(GENERATED)/late_sonames.h

# a text file, terminated, under the symbol embedded_<name>
embedded_name = embedded_$(subst .,_,$(notdir $(1)))
$(EMBEDDED:%=$(OUT)/%.o): $(OUT)/%.o: % Makefile
	@echo "  EMBED $<"
	$(Q)mkdir -p $(@D) && printf '%s\n' '.section .rodata' \
	    '.global $(call embedded_name,$<)' '$(call embedded_name,$<): .incbin "$<"' '.byte 0' \
	    '.section .note.GNU-stack,"",%progbits' | $(CC) -x assembler -c -o $@ -

# Packages go beside the sources' copy in build/, so that the tree stays clean. A page that is missing is
# older than its sources, so the next make tries again.
$(WEB_FILES) &: $(WEB_SOURCES)
	@echo "  WEB   $(WEB)"
	$(Q)mkdir -p $(WEB)/packages && cp server/web/dashboard/package*.json $(WEB)/packages/
	$(Q)if command -v node >/dev/null && command -v npm >/dev/null && \
	    npm ci --prefix $(WEB)/packages --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && \
	    NODE_PATH=$(WEB)/packages/node_modules $(WEB)/packages/node_modules/.bin/esbuild $(BUNDLE_FLAGS) \
	        app=server/web/dashboard/src/main.jsx && \
	    cp server/web/dashboard/index.html server/web/dashboard/icon.svg $(WEB)/; then \
	    touch $(WEB_FILES); \
	else \
	    echo "the dashboard is left out: Node.js or npm is missing, or could not fetch its packages" >&2; \
	    cp server/web/dashboard/absent.html $(WEB)/index.html; cp server/web/dashboard/icon.svg $(WEB)/; \
	    : >$(WEB)/app.js; : >$(WEB)/app.css; touch -d @1 $(WEB_FILES); \
	fi

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(OUT)/libdgld.a
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS_$(MODE)) -o $@ $< $(OUT)/libdgld.a $(BUILD_LIBS) \
	    $(shell pkg-config --libs $(call pc_names,$(TEST_LIBRARIES))) \
	    -Wl,--as-needed $(shell pkg-config --libs $(call pc_names,$(LATE_LIBRARIES)))

# to be preloaded; never instrumented, for they stand before a sanitizer
PRELOADED := $(patsubst %.c,$(OUT)/%.so,$(wildcard tests/fault/*.c))

unit-programs: $(TEST_PROGRAMS) $(PRELOADED)

$(PRELOADED): $(OUT)/%.so: %.c Makefile
	@echo "  LD    $@"
	$(Q)mkdir -p $(@D) && $(CC) -std=c17 -D_GNU_SOURCE -O1 -g $(WARNINGS) -fPIC -shared \
	    $(shell pkg-config --cflags libpq sqlite3) $(CFLAGS) -o $@ $<

# Of a fuzz target libFuzzer makes a program that looks for inputs, replay.c one that runs those kept.
$(OUT)/tests/fuzz/%.o: BUILD_FLAGS += -D_GNU_SOURCE
FUZZ_SHARED := $(OUT)/tests/fuzz/service.o $(if $(filter fuzz,$(MODE)),,$(OUT)/tests/fuzz/replay.o)
$(OUT)/tests/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(OUT)/libdgld.a
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS_$(MODE)) $(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer) -o $@ $(filter %.o,$^) \
	    $(OUT)/libdgld.a $(BUILD_LIBS)

fuzz-programs: $(FUZZ_PROGRAMS)

$(OUT)/tests/bench/%: $(OUT)/tests/bench/%.o $(OUT)/libdgld.a
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS_$(MODE)) -o $@ $< $(OUT)/libdgld.a $(BUILD_LIBS)

-include $(OBJECTS:.o=.d) $(TEST_PROGRAMS:%=%.d) $(BENCH_PROGRAMS:%=%.d) $(FUZZ_PROGRAMS:%=%.d) \
         $(FUZZ_SHARED:.o=.d)
.PRECIOUS: $(OUT)/%.o

# ---- tests ---------------------------------------------------------------------------------------

test: deps-test ## install what is missing, build, and run all tests; T=name runs what matches
	$(Q)$(MAKE) --no-print-directory check-test-libraries build
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory unit-programs $(OUT)/tests/bench/hot_paths fuzz-programs
	$(Q)deploy/install-deps.sh python tools
	$(Q)build/venv/bin/python tests/support/run_tests.py --mode release --match "$(T)"

check-sanitizers: deps-test ## the C tests under ASan+UBSan, then under TSan
	$(Q)$(MAKE) --no-print-directory check-test-libraries
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory MODE=asan build/asan/dgld unit-programs fuzz-programs
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory MODE=tsan build/tsan/dgld unit-programs fuzz-programs
	$(Q)deploy/install-deps.sh python
	$(Q)build/venv/bin/python tests/support/run_tests.py --mode asan --match "$(T)"
	$(Q)build/venv/bin/python tests/support/run_tests.py --mode tsan --match "$(T)"

# those that keep a service busy from several sides; they take half an hour
API ?= not dashboard and (jobs_ or handover or stop or serve or postgres or own_spaces or backup or health or log or auth \
       or contract or infer or http_ or hostile or proxy or measurements or calibration or tls or rate_limit or compression \
       or config or cors or copies or costs or deadlines or devices or metrics or pool or results or tritonclient \
       or unmeasured or capacity or activation or model or architectures or accuracy or library)

check-sanitizers-api: deps-test ## the tests of the service under TSan; API=expression of what matches
	$(Q)$(MAKE) --no-print-directory check-test-libraries
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory MODE=tsan build/tsan/dgld
	$(Q)deploy/install-deps.sh python tools
	$(Q)build/venv/bin/python tests/support/run_tests.py --mode tsan --api "$(strip $(API))"

test-long: test ## what takes longer than a minute or two: many requests of the contract, the sanitizers
	$(Q)DGLD_TEST_LONG=1 build/venv/bin/python tests/support/run_tests.py --mode release --match at_length
	$(Q)$(MAKE) --no-print-directory check-sanitizers check-sanitizers-api

# ---- fuzzing and coverage ------------------------------------------------------------------------

F        ?=
TIME     ?= 60
PARTS    ?= fuzz unit api
FUZZ_NAMES := $(FUZZ_SOURCES:tests/fuzz/fuzz_%.c=%)
CLANG    ?= clang-14
with_clang = $(MAKE) $(PARALLEL) --no-print-directory CC=$(CLANG) WARNINGS=-Wall

fuzz: ## look for inputs that break something: F=name one target, else all; TIME=seconds of each (60)
	$(if $(filter-out $(FUZZ_NAMES),$(F)),$(error there is no fuzz target $(F); there are $(FUZZ_NAMES)))
	$(Q)deploy/install-deps.sh build web fuzz
	$(Q)$(MAKE) --no-print-directory check-libraries
	$(Q)$(with_clang) MODE=fuzz $(if $(F),build/fuzz/tests/fuzz/fuzz_$(F),fuzz-programs)
	$(Q)$(PYTHON) tests/fuzz/fuzz.py run "$(F)" --seconds "$(TIME)"

fuzz-minimise: ## add what `make fuzz` has found to the corpora, which stay as small as they can be
	$(Q)$(PYTHON) tests/fuzz/fuzz.py minimise "$(F)"

coverage: deps-test ## lines and branches that are run, by directory: PARTS of fuzz, unit, api
	$(Q)deploy/install-deps.sh fuzz python tools
	$(Q)$(MAKE) --no-print-directory check-test-libraries
	$(Q)$(with_clang) MODE=coverage build/coverage/dgld unit-programs fuzz-programs
	$(Q)$(PYTHON) tests/fuzz/coverage.py $(PARTS)

# ---- quality -------------------------------------------------------------------------------------

C_FILES := $(wildcard core/*.[ch] proto/*.[ch] server/*.[ch] tests/*/*.[ch])

format: ## format all C files
	$(Q)clang-format -i $(C_FILES)

format-check:
	$(Q)clang-format --dry-run -Werror $(C_FILES)

# gcc's analyzer follows paths through functions. Unoptimised: what is inlined has many more of them, and
# takes minutes a file. Objects are kept, so that only what has changed is looked at again.
ANALYZED := $(SOURCES:%.c=build/analyze/%.o)
ANALYZE_FLAGS = -std=c17 -D_POSIX_C_SOURCE=200809L -O0 -fanalyzer -Werror -I. -isystem $(GENERATED) -MMD -MP \
                $(shell pkg-config --cflags $(call pc_names,$(LIBRARIES) $(LATE_LIBRARIES)))

build/analyze/%.o: %.c Makefile | $(GENERATED_HEADERS)
	@echo "  ANALYZE $<"
	$(Q)mkdir -p $(@D) && gcc $(ANALYZE_FLAGS) -c -o $@ $<

analyze: $(ANALYZED)

-include $(ANALYZED:.o=.d)

# cppcheck is not told where the headers of libraries are, which are not ours to judge: it misses them
lint: deps-lint ## format, include arrows, documented keys and bounds, cppcheck, gcc -fanalyzer, lintian, clang-tidy
	$(Q)$(MAKE) --no-print-directory format-check
	$(Q)$(PYTHON) tests/support/lint.py
	$(Q)$(MAKE) --no-print-directory $(GENERATED_HEADERS)
	$(Q)cppcheck --quiet --std=c11 --language=c --error-exitcode=1 -I. -j2 \
	    --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
	    core proto server
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory analyze
	$(Q)$(MAKE) --no-print-directory build
	$(Q)rm -rf build/lint && deploy/build-deb.sh "$(shell deploy/version.sh)" build/lint >/dev/null
	$(Q)lintian --no-user-dirs --fail-on error,warning build/lint/*.deb
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $(SOURCES) -- -std=c17 \
	    -D_POSIX_C_SOURCE=200809L -I. -isystem $(GENERATED) \
	    $(shell pkg-config --cflags $(call pc_names,$(LIBRARIES) $(LATE_LIBRARIES))) \
	    2>&1 | grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -' ; \
	    exit $${PIPESTATUS[0]}
lint: SHELL := /bin/bash

bench: ## measure speed beside nginx (a report, not a test); BENCH_FLAGS=--quick tries it out
	$(Q)deploy/install-deps.sh build test bench
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory build
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory $(BENCH_PROGRAMS)
	$(Q)deploy/install-deps.sh python
	$(Q)build/venv/bin/python tests/bench/bench.py $(BENCH_FLAGS)

bench-peers: ## measure speed beside Python servers of the same predictions; PEERS_FLAGS=--quick tries it out
	$(Q)deploy/install-deps.sh build test bench
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory build $(OUT)/tests/bench/frozen_layers
	$(Q)deploy/install-deps.sh python peers
	$(Q)build/venv/bin/python tests/bench/bench_peers.py $(PEERS_FLAGS)

instructions: ## count the instructions of hot paths beside those that are kept; INSTRUCTIONS_FLAGS=--write keeps them
	$(Q)deploy/install-deps.sh build test
	$(Q)$(MAKE) --no-print-directory build $(OUT)/tests/bench/hot_paths
	$(Q)deploy/install-deps.sh python
	$(Q)build/venv/bin/python tests/bench/instructions.py $(INSTRUCTIONS_FLAGS)

capacity: ## measure what one core gives, and print the tables of deploy/CAPACITY.md; CAPACITY_FLAGS=--write puts them there
	$(Q)deploy/install-deps.sh build test bench
	$(Q)$(MAKE) --no-print-directory build
	$(Q)$(MAKE) --no-print-directory $(BENCH_PROGRAMS)
	$(Q)deploy/install-deps.sh python
	$(Q)build/venv/bin/python tests/bench/capacity.py $(CAPACITY_FLAGS)

soak: ## keep a daemon busy with a mixed load for TIME seconds (1800), and look whether it grows
	$(Q)deploy/install-deps.sh build test
	$(Q)$(MAKE) $(PARALLEL) --no-print-directory build
	$(Q)deploy/install-deps.sh python
	$(Q)build/venv/bin/python tests/bench/soak.py --time "$(or $(TIME),1800)"

.PHONY: soak

figures: ## print the figures of calibrations, libraries and intervals; some minutes
	$(Q)$(MAKE) --no-print-directory $(OUT)/tests/bench/evaluate_calibration
	$(Q)$(OUT)/tests/bench/evaluate_calibration

hyperparameters: ## derive what calibrations believe from the devices of the library; many minutes
	$(Q)$(MAKE) --no-print-directory $(OUT)/tests/bench/derive_hyperparameters
	$(Q)$(OUT)/tests/bench/derive_hyperparameters

# ---- data and models -----------------------------------------------------------------------------

data: ## FROM=DIR links a copy of the reference's data into data/
	$(Q)deploy/link-data.sh "$(FROM)"

pretrained: build ## train the shipped predictors; FROM=DIR and ACCURACY_FROM=DIR name the data (../shared/data/dgl, ../shared/data)
	$(Q)for s in nasbench201 fbnetv3; do \
	    ./build/dgld train --search_space $$s --data_path "$(or $(FROM),../shared/data/dgl)" && \
	    ./build/dgld train --search_space $$s --data_path "$(or $(FROM),../shared/data/dgl)" \
	        --predictor mlp --name mlp || exit 1; done
	$(Q)./build/dgld train --target accuracy --search_space nasbench201 \
	    --accuracy_data "$(or $(ACCURACY_FROM),../shared/data)/nasbench201_full"
	$(Q)./build/dgld train --target accuracy --search_space fbnetv3 \
	    --accuracy_data "$(or $(ACCURACY_FROM),../shared/data)"

reproduce: build ## print the README's comparison with the paper; FROM=DIR names the data; some minutes
	$(Q)$(PYTHON) tests/support/reproduce.py $(if $(FROM),--data "$(FROM)")

# ---- installation --------------------------------------------------------------------------------

# settings are the system's where the program is
SYSCONFDIR  ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
SHARE       := $(PREFIX)/share/dgld
DOC         := $(PREFIX)/share/doc/dgld
MANUAL      := $(PREFIX)/share/man/man1
SETTINGS    := $(SYSCONFDIR)/dgld/dgld.json
SHIPPED_MODELS = $(foreach m,pretrainmodel pretrainmodel-mlp accuracymodel,$(wildcard result/*/$(m).safetensors))
# paths that the units name, as they stand in deploy/systemd
unit_paths   = sed -e 's|/usr/bin/dgld|$(PREFIX)/bin/dgld|' -e 's|/etc/dgld|$(SYSCONFDIR)/dgld|' \
               -e 's|/usr/share/doc/dgld|$(DOC)|'

install: build ## program, predictors, device sheets, settings, documents, units; honours DESTDIR, PREFIX, SYSCONFDIR
	$(Q)install -D -m 0755 build/dgld "$(DESTDIR)$(PREFIX)/bin/dgld"
	$(Q)for f in config/dgld.json data/devices/*.json $(SHIPPED_MODELS); do \
	    install -D -m 0644 "$$f" "$(DESTDIR)$(SHARE)/$$f" || exit 1; done
	$(Q)install -D -m 0644 README.md "$(DESTDIR)$(DOC)/README.md"
	$(Q)install -D -m 0644 SECURITY.md "$(DESTDIR)$(DOC)/SECURITY.md"
	$(Q)install -D -m 0644 config/README.md "$(DESTDIR)$(DOC)/config.md"
	$(Q)install -D -m 0644 deploy/systemd/README.md "$(DESTDIR)$(DOC)/systemd.md"
	$(Q)install -D -m 0644 deploy/dgld.1 "$(DESTDIR)$(MANUAL)/dgld.1"
	$(Q)install -d "$(DESTDIR)$(UNITDIR)"
	$(Q)for u in dgld.service dgld.socket; do \
	    $(unit_paths) "deploy/systemd/$$u" >"$(DESTDIR)$(UNITDIR)/$$u" && \
	    chmod 0644 "$(DESTDIR)$(UNITDIR)/$$u" || exit 1; done
	$(Q)install -D -m 0644 deploy/systemd/dgld.sysusers.conf "$(DESTDIR)$(SYSUSERSDIR)/dgld.conf"
	$(Q)if [ -e "$(DESTDIR)$(SETTINGS)" ]; then echo "$(DESTDIR)$(SETTINGS) is there and stays as it is"; \
	    else install -D -m 0644 config/dgld.json "$(DESTDIR)$(SETTINGS)"; fi

uninstall: ## remove what install put there; settings and state stay
	$(Q)rm -f "$(DESTDIR)$(PREFIX)/bin/dgld" "$(DESTDIR)$(MANUAL)/dgld.1" "$(DESTDIR)$(SYSUSERSDIR)/dgld.conf" \
	    "$(DESTDIR)$(UNITDIR)/dgld.service" "$(DESTDIR)$(UNITDIR)/dgld.socket"
	$(Q)rm -rf "$(DESTDIR)$(SHARE)" "$(DESTDIR)$(DOC)"

deb: build ## a Debian package, build/deb/dgld_<version>_<architecture>.deb
	$(Q)deploy/install-deps.sh package
	$(Q)deploy/build-deb.sh "$(or $(DEB_VERSION),$(shell deploy/version.sh))" build/deb

image: ## build the container image IMAGE (dgld) with podman, buildah or docker; BASE names another base
	$(Q)deploy/image.sh "$(IMAGE)" "$(BASE)"

image-rootfs: build ## assemble the image's file tree in build/image-rootfs, where no engine is at hand
	$(Q)rm -rf build/image-rootfs
	$(Q)deploy/rootfs.sh build/image-rootfs

clean: ## remove build/
	rm -rf build
