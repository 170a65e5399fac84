# SPDX-License-Identifier: GPL-2.0-only
# Sluice. `make help` lists the targets. Sources are found by folder, so that
# a new file needs no line here:
#
#   bpf/NAME.bpf.c          build/bpf/NAME.bpf.o and build/bpf/NAME.skel.h
#   daemon/FOLDER/*.c       build/lib/FOLDER.a, linked where it is needed
#   daemon/*.c              sluiced      daemon/engine/main.c  sluice-engine
#   daemon/cli/main.c       sluice       daemon/prober/main.c  sluice-prober
#   tests/{unit,prog}/test_*.c   one cmocka program each
#   tests/fuzz/fuzz_*.c          one libFuzzer program each (clang-19)
#   tests/bench/bench_*.c        one benchmark each
#   tests/sim/*.c                build/sim
#   tests/netns/*.sh             network tests, run as root

B := build
CC := gcc
CLANG := clang-19
BPFTOOL := $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX ?= /usr
DESTDIR ?=

PKGS := libbpf libxdp json-c libuv libcurl libcares libsodium libmicrohttpd \
	sqlite3 libmnl libcap
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -Werror
CPPFLAGS += -Iinclude -Idaemon -Ibpf/lib -I$(B) -D_GNU_SOURCE
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu17 -fno-strict-aliasing $(WARN)
LDLIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lelf -lz -lm -lpthread
# Sanitized builds live beside the plain ones: make SAN=1 …
ifeq ($(SAN),1)
B := build/san
CFLAGS += -fsanitize=address,undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
endif
ifeq ($(SAN),thread)
B := build/tsan
CFLAGS += -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan
LDFLAGS += -fsanitize=thread
endif
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu17 -Wall -Wextra -Werror \
	-Wno-unused-parameter -Iinclude -Ibpf -Ibpf/lib \
	-I/usr/include/$(shell uname -m)-linux-gnu

BPF_OBJS := $(patsubst bpf/%.bpf.c,$(B)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
# BPF programs of tests and benchmarks only.
TEST_BPF_OBJS := $(patsubst %.bpf.c,$(B)/%.bpf.o,$(wildcard tests/*/*.bpf.c))
SKELS := $(BPF_OBJS:.bpf.o=.skel.h)

LIB_DIRS := util config cluster health control bpf engine prober cli
lib_objs = $(patsubst %.c,$(B)/%.o,$(filter-out %/main.c,$(wildcard daemon/$(1)/*.c)))
LIBS := $(foreach d,$(LIB_DIRS),$(if $(call lib_objs,$(d)),$(B)/lib/$(d).a))
DAEMON_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard daemon/*.c))

PROGS := $(if $(wildcard daemon/main.c),$(B)/sluiced) \
	$(if $(wildcard daemon/engine/main.c),$(B)/sluice-engine) \
	$(if $(wildcard daemon/prober/main.c),$(B)/sluice-prober) \
	$(if $(wildcard daemon/cli/main.c),$(B)/sluice)

TEST_LIB := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
UNIT := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
PROG_TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/prog/test_*.c))
BENCH := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bench/bench_*.c))
FUZZ := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/netns/tool_*.c)) \
	$(patsubst %.c,$(B)/%,$(wildcard vmtests/tool_*.c))
PRELOAD := $(patsubst tests/%.c,build/tests/%.so,$(wildcard tests/lib/preload/*.c))
SIM := $(if $(wildcard tests/sim/*.c),$(B)/sim)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help setup root demo check check-all check-san check-vm check-deb bench fuzz sim tidy \
	install deb clean tests

all: setup
	@$(MAKE) --no-print-directory -s -j$(shell nproc) build-all

.PHONY: build-all
build-all: $(PROGS) $(BPF_OBJS)

help:
	@echo 'make demo            one node, real HTTP traffic, faults: the main job (root)'
	@echo 'make check           all tests (root); PATTERN=… only some'
	@echo 'make all             build the programs into build/'
	@echo 'make bench           figures against baselines, build/bench.json (root)'
	@echo 'make fuzz SECONDS=n  fuzz every parser of untrusted bytes, n seconds each'
	@echo 'make sim SEED=n RUNS=n NODES=n SERVICES=n   cluster simulator'
	@echo 'make check-vm        boot the kernels of vmtests/kernels.list, test inside'
	@echo 'make check-deb       build, install, run, purge in fresh Debian systems'
	@echo 'make check-san       unit, packet, simulator, leak tests under sanitizers'
	@echo 'make check-all       check and all of these'
	@echo 'make install DESTDIR=… PREFIX=…   make deb   make tidy   make clean'
	@echo 'SAN=1, SAN=thread    build under ASan and UBSan, or TSan, in build/san, build/tsan'

# Installs what is missing; silent when nothing is.
setup:
	@scripts/setup

root:
	@[ "$$(id -u)" = 0 ] || { \
	echo 'make: this target needs root (network namespaces, BPF): use sudo' >&2; \
	exit 1; }

demo: root setup
	@$(MAKE) --no-print-directory -s -j$(shell nproc) build-all tests
	@scripts/demo

tests: $(TOOLS) $(TEST_BPF_OBJS)

check: root setup
	@$(MAKE) --no-print-directory -s -j$(shell nproc) check-build
	@tests/lib/run $(if $(PATTERN),'$(PATTERN)')

.PHONY: check-build
check-build: build-all $(UNIT) $(PROG_TESTS) $(FUZZ) $(TOOLS) $(TEST_BPF_OBJS) $(PRELOAD) $(SIM)

check-vm: root
	@scripts/setup --vm
	@$(MAKE) --no-print-directory -s -j$(shell nproc) check-build
	@vmtests/run

check-deb: root
	@scripts/setup --vm
	@tests/packaging/check

# Sanitizers: everything under ASan and UBSan, what has threads under TSan.
check-san: root setup
	@$(MAKE) --no-print-directory -s -j$(shell nproc) SAN=1 san-build
	@$(MAKE) --no-print-directory -s -j$(shell nproc) SAN=thread tsan-build
	@tests/san/check

.PHONY: san-build
san-build: build-all $(UNIT) $(PROG_TESTS) $(TOOLS) $(TEST_BPF_OBJS) $(SIM)

.PHONY: tsan-build
tsan-build: build-all $(addprefix $(B)/tests/unit/test_,config_api flowtab_stress)

check-all: check check-san check-vm check-deb

bench: root setup
	@$(MAKE) --no-print-directory -s -j$(shell nproc) bench-build
	@tests/bench/run

.PHONY: bench-build
bench-build: build-all $(BENCH) $(TOOLS) $(TEST_BPF_OBJS)

SECONDS ?= 60
fuzz: setup
	@$(MAKE) --no-print-directory -s $(FUZZ)
	@tests/fuzz/run $(SECONDS)

SEED ?= 1
RUNS ?= 100
NODES ?= 5
SERVICES ?= 50
sim: setup
	@$(MAKE) --no-print-directory -s $(SIM)
	@$(B)/sim --seed $(SEED) --runs $(RUNS) --nodes $(NODES) --services $(SERVICES)

tidy:
	@scripts/tidy

# Helpers live in libexec: users never start them by hand.
VERSION := $(shell cat scripts/packaging/VERSION)
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
install:
	@$(MAKE) --no-print-directory -s -j$(shell nproc) build-all
	install -D -m 755 $(B)/sluiced $(DESTDIR)$(PREFIX)/sbin/sluiced
	install -D -m 755 $(B)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -D -m 755 $(B)/sluice-engine $(DESTDIR)$(PREFIX)/libexec/sluice/sluice-engine
	install -D -m 755 $(B)/sluice-prober $(DESTDIR)$(PREFIX)/libexec/sluice/sluice-prober
	install -D -m 644 $(B)/bpf/steer.bpf.o $(DESTDIR)$(PREFIX)/lib/bpf/sluice-steer.bpf.o
	install -d $(DESTDIR)$(UNITDIR)
	sed 's,=/usr/\(s\?bin\)/,=$(PREFIX)/\1/,' scripts/packaging/sluiced.service \
	>$(DESTDIR)$(UNITDIR)/sluiced.service
	install -D -m 644 scripts/demo.json $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.json.example
	install -D -m 644 scripts/packaging/sluiced.8 $(DESTDIR)$(PREFIX)/share/man/man8/sluiced.8
	install -d $(DESTDIR)$(PREFIX)/share/man/man5
	$(B)/sluice help | sed -n '/^  node show/,/^  help/{s/\\/\\e/g;s/-/\\-/g;p}' >$(B)/sluice.help
	sed -e '/@HELP@/{r $(B)/sluice.help' -e 'd}' scripts/packaging/sluice.8.in \
	>$(DESTDIR)$(PREFIX)/share/man/man8/sluice.8
	$(B)/sluice config keys man >$(DESTDIR)$(PREFIX)/share/man/man5/sluice.json.5
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(B)/sluice completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sluice

deb:
	@scripts/setup --deb
	@scripts/packaging/deb $(VERSION)

clean:
	rm -rf build

# ---- rules ----

$(B)/%.bpf.o: %.bpf.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@
	llvm-strip-19 -g $@

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $*_bpf >$@

$(B)/%.o: %.c Makefile | $(SKELS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

define lib_rule
$(B)/lib/$(1).a: $(call lib_objs,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach d,$(LIB_DIRS),$(eval $(call lib_rule,$(d))))

LINK = $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

$(B)/sluiced: $(DAEMON_OBJS) $(LIBS)
	$(LINK)
$(B)/sluice-engine: $(B)/daemon/engine/main.o $(LIBS)
	$(LINK)
$(B)/sluice-prober: $(B)/daemon/prober/main.o $(LIBS)
	$(LINK)
$(B)/sluice: $(B)/daemon/cli/main.o $(LIBS)
	$(LINK)

$(B)/tests/unit/%: LDLIBS += -lcmocka
$(B)/tests/prog/%: LDLIBS += -lcmocka
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(TEST_LIB) $(LIBS)
	$(LINK)
$(B)/tests/prog/%: $(B)/tests/prog/%.o $(TEST_LIB) $(LIBS)
	$(LINK)
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(TEST_LIB) $(LIBS)
	$(LINK)
# Tools of the network tests name what they are linked with in their head
# comment ("link-with: FILES"), so that they build without the rest.
.SECONDEXPANSION:
link_with = $(patsubst %.c,$(B)/%.o,$(shell sed -n 's/^.*link-with: *//p' $(1)))
$(B)/tests/netns/tool_%: $(B)/tests/netns/tool_%.o \
		$$(call link_with,tests/netns/tool_$$*.c)
	$(LINK)
# Preloaded into programs under test.
build/tests/lib/preload/%.so: tests/lib/preload/%.c
	@mkdir -p $(@D)
	$(CC) -O2 -g -std=gnu17 -D_GNU_SOURCE $(WARN) -fPIC -shared -o $@ $< -ldl

$(B)/vmtests/%: $(B)/vmtests/%.o $(LIBS)
	$(LINK)
$(B)/sim: $(patsubst %.c,$(B)/%.o,$(wildcard tests/sim/*.c)) $(LIBS)
	$(LINK)

# Fuzzers compile what they fuzz themselves, with sanitizers and coverage:
# a line "fuzz-sources: FILES" in the fuzzer's head comment names it.
fuzz_sources = $(shell sed -n 's/^.*fuzz-sources: *//p' $(1))
$(B)/tests/fuzz/%: tests/fuzz/%.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) -O1 -g -std=gnu17 -fno-strict-aliasing \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	-MMD -MP -MF $@.d -o $@ $< $(call fuzz_sources,$<) $(LDLIBS)

-include $(shell find build \( -path build/vm -o -path build/packaging \) -prune -o -type f -name '*.d' -print 2>/dev/null)
