# SPDX-License-Identifier: MIT
# `make help` lists the targets.  New .c files need no edit here: folders are layers.
#   VARIANT=release|debug|asan|tsan|cov|fuzz   (SAN= is the same)   CC=clang   WERROR=1
#   V=1 shows the commands
#   UNIT="queue map"     only these unit suites    LAYERS="base proto"   only these layers
# Objects go to build/<variant>/, programs of the release build to build/ itself; BUILD=DIR for
# another place than build/.

VERSION := 0.1.0
PREFIX  ?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
DESTDIR ?=

# --- variant -------------------------------------------------------------------
CLANG   := $(if $(findstring clang,$(CC)),yes)
VARIANT ?= $(or $(SAN),$(if $(CLANG),clang,release))
BUILD   ?= build
O       := $(BUILD)/$(VARIANT)
BIN     := $(if $(filter release,$(VARIANT)),$(BUILD),$O)

# --- flags ---------------------------------------------------------------------
probe    = $(shell $(CC) -Werror $(1) -x c -c /dev/null -o /dev/null 2>/dev/null && echo '$(1)')
PACKAGES := libevent sqlite3 libcjson libcrypt libmd libpcre2-8
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wvla -Wundef -Wcast-qual -Wpointer-arith \
	-Wwrite-strings -Wformat=2 -Wnull-dereference -Wdouble-promotion -Wswitch-enum \
	-Wimplicit-fallthrough -Wframe-larger-than=8192
WARN    += $(if $(CLANG),-Wcomma -Wconditional-uninitialized -Wassign-enum \
	-Wunreachable-code-aggressive -Wshorten-64-to-32, \
	-Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wcast-align=strict \
	-Wformat-signedness -Walloca -Wjump-misses-init)
# gcc warns of conversions that UBSan itself puts in; the other variants have shown them all.
WARN    := $(if $(filter release clang debug,$(VARIANT)),$(WARN) $(if $(WERROR),-Werror),-Wall)

HARDEN   = -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fno-delete-null-pointer-checks -fno-strict-overflow \
	$(call probe,-fstack-clash-protection) $(call probe,-fcf-protection=full) \
	$(call probe,-mbranch-protection=standard) $(call probe,-ftrivial-auto-var-init=zero) \
	$(call probe,-fzero-call-used-regs=used-gpr) $(call probe,-fstrict-flex-arrays=3)
SANITIZE = -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all
OPT_release = $(HARDEN)
OPT_clang   = $(HARDEN)
OPT_debug   = -O0
OPT_asan    = $(SANITIZE) -fsanitize=address,undefined
OPT_tsan    = $(SANITIZE) -fsanitize=thread
OPT_fuzz    = $(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined
OPT_cov     = -O0 --coverage -fprofile-abs-path
OPT        := $(or $(OPT_$(VARIANT)),$(error unknown VARIANT=$(VARIANT)))

# One set of objects serves programs and the shared library: hidden PIC costs nothing once linked.
ALL_CFLAGS  := -std=c17 -D_GNU_SOURCE -I. -DLODGE_VERSION='"$(VERSION)"' -g -fno-common -fPIC \
	-fvisibility=hidden -pthread $(OPT) $(WARN) \
	$(shell pkg-config --cflags $(PACKAGES)) $(CFLAGS)
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code \
	$(filter -fsanitize=% --coverage,$(OPT)) $(LDFLAGS)
LIBS        := $(shell pkg-config --libs $(PACKAGES))
CHECK_LIBS   = $(shell pkg-config --libs check)

# --- what there is ---------------------------------------------------------------
LAYERS      := base proto storage core session net config client broker testlib
in_core     := broker/core
in_session  := broker/session
in_net      := broker/net
in_testlib  := tests/lib
src          = $(filter-out broker/main.c,$(wildcard $(or $(in_$(1)),$(1))/*.c))
obj          = $(patsubst %.c,$O/%.o,$(1))
archive      = $(if $(call src,$(1)),$O/lib$(1).a)
group        = -Wl,--start-group $(1) -Wl,--end-group

ARCHIVES := $(foreach l,$(filter-out testlib,$(LAYERS)),$(call archive,$l))
TEST_LIB := $(filter $(foreach l,$(LAYERS),$(call archive,$l)),$O/libtestlib.a)
CMD      := $(wildcard client/cmd/*.c)
EXAMPLES := $(patsubst client/examples/%.c,$(BIN)/examples/%,$(wildcard client/examples/*.c))
UNIT     := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_SRC := tests/unit/main.c $(UNIT:%=tests/unit/test_%.c) \
	$(filter-out tests/unit/main.c tests/unit/test_%.c,$(wildcard tests/unit/*.c))
SIM_SRC  := $(wildcard tests/sim/*.c)
SPEC_SRC := $(wildcard tests/spec/*.c)
FUZZ     := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 30
# tests/system and tests/bench: each .c is a program, each preload_*.c a library for LD_PRELOAD;
# load*.c together are bench/load.
LOAD_SRC := $(wildcard tests/bench/load*.c)
PRELOAD  := $(wildcard tests/system/preload_*.c tests/bench/preload_*.c)
HELPERS  := $(filter-out $(PRELOAD) $(LOAD_SRC),$(wildcard tests/system/*.c tests/bench/*.c)) \
	$(if $(LOAD_SRC),tests/bench/load.c)
HELPERS  := $(HELPERS:tests/%.c=$(BIN)/%) $(PRELOAD:tests/%.c=$(BIN)/%.so)

LODGED := $(if $(wildcard broker/main.c),$(BIN)/lodged)
LODGE  := $(if $(CMD),$(BIN)/lodge)
LIB    := $(if $(wildcard client/*.c),$(addprefix $(BIN)/,liblodge.so liblodge.a lodge.pc))

.PHONY: all unit test spec sim fuzz fuzz-run programs asan tsan cov lint tidy layers fmt fmt-check \
	shellcheck spell spdx man-check bench install uninstall docker help clean stats
.DELETE_ON_ERROR:
.SECONDARY:

all: $(ARCHIVES) $(LODGED) $(LODGE) $(LIB) $(EXAMPLES)  ## daemon, command, library, examples

# --- how things are made -----------------------------------------------------------
Q = $(if $(V),,@printf '  %s\n' '$@';)

# A change of compiler or flags rebuilds this variant.
FLAGS := $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(shell mkdir -p $O && echo '$(subst ','\'',$(FLAGS))' | cmp -s - $O/flags || \
	echo '$(subst ','\'',$(FLAGS))' >$O/flags)

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

define archive_rule
$O/lib$(1).a: $(call obj,$(call src,$(1)))
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call archive_rule,$l)))

$(BIN)/lodged: $O/broker/main.o $(filter-out $O/libclient.a,$(ARCHIVES))
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(call group,$(filter %.a,$^)) $(LIBS) -o $@

$(BIN)/lodge: $(call obj,$(CMD)) $(BIN)/liblodge.a $(call archive,proto) $(call archive,base)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

# The library carries what it needs of base and proto; only what lodge.h exports stays visible.
$O/liblodge.o: $(call obj,$(call src,client)) $(call archive,proto) $(call archive,base)
	$(Q)$(LD) -r $(filter %.o,$^) --start-group $(filter %.a,$^) --end-group -o $@
	@objcopy --localize-hidden $@

$(BIN)/liblodge.a: $O/liblodge.o
	@rm -f $@
	$(Q)$(AR) rcs $@ $<

$(BIN)/liblodge.so.0: $O/liblodge.o
	$(Q)$(CC) $(filter-out -pie,$(ALL_LDFLAGS)) -shared -Wl,-soname,$(@F) $< \
		$(shell pkg-config --libs libevent) -o $@

$(BIN)/liblodge.so: $(BIN)/liblodge.so.0
	@ln -sf $(<F) $@

$(BIN)/lodge.pc: client/lodge.pc.in Makefile
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' $< >$@

$(BIN)/examples/%: $O/client/examples/%.o $(BIN)/liblodge.so
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< -L$(BIN) -llodge -Wl,-rpath,'$$ORIGIN/..' $(LIBS) -o $@
$O/client/examples/%.o: ALL_CFLAGS += -Iclient

# --- tests -------------------------------------------------------------------------
SUITES := $(foreach u,$(sort $(UNIT)),SUITE($u))
$(shell echo '$(SUITES)' | cmp -s - $O/suites.inc || echo '$(SUITES)' >$O/suites.inc)
$O/tests/unit/main.o: $O/suites.inc
$O/tests/unit/%.o: ALL_CFLAGS += -I$O $(shell pkg-config --cflags check)

$(BIN)/unit: $(call obj,$(UNIT_SRC)) $(TEST_LIB) $(ARCHIVES)
	$(Q)$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(call group,$(filter %.a,$^)) $(CHECK_LIBS) $(LIBS) -o $@

$(BIN)/sim $(BIN)/spec: $(TEST_LIB) $(ARCHIVES)
	$(Q)$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(call group,$(filter %.a,$^)) $(LIBS) -o $@
$(BIN)/sim: $(call obj,$(SIM_SRC))
$(BIN)/spec: $(call obj,$(SPEC_SRC))

$(BIN)/fuzz_%: $O/tests/fuzz/fuzz_%.o $(TEST_LIB) $(ARCHIVES)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer $< $(call group,$(filter %.a,$^)) $(LIBS) -o $@

$(PRELOAD:tests/%.c=$(BIN)/%.so): $(BIN)/%.so: tests/%.c $O/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -shared $< -ldl -o $@

$(BIN)/bench/load: $(call obj,$(LOAD_SRC))
$(filter-out %.so,$(HELPERS)): $(BIN)/%: $O/tests/%.o $(TEST_LIB) $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(call group,$(filter %.a,$^)) $(LIBS) -o $@

# Clients of other people's libraries, built when a test of tests/system/interop asks for them.
INTEROP := $(patsubst tests/system/interop/%.c,$(BIN)/system/%,$(wildcard tests/system/interop/*.c))
$(BIN)/system/mqtt_paho_c: INTEROP_LIBS = -lpaho-mqtt3c
$(BIN)/system/mqtt_paho_c_async: INTEROP_LIBS = -lpaho-mqtt3a
$(INTEROP): $(BIN)/system/%: $O/tests/system/interop/%.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(INTEROP_LIBS) -o $@

PROGRAMS := $(if $(SIM_SRC),$(BIN)/sim) $(if $(SPEC_SRC),$(BIN)/spec) $(if $(UNIT),$(BIN)/unit) \
	$(HELPERS)
programs: all $(PROGRAMS)  ## all, and every test program

unit: $(if $(UNIT),$(BIN)/unit)  ## build the unit runner

test: unit  ## run the unit tests (UNIT="queue map" for some)
	$(if $(UNIT),$(BIN)/unit)

spec: all $(if $(SPEC_SRC),$(BIN)/spec)  ## bytes in, bytes out, against the daemon
	$(firstword $(wildcard tests/spec/run) $(BIN)/spec) $(BIN)/lodged

sim: $(BIN)/sim  ## simulator: SIM_SEEDS seeds of SIM_STEPS steps
	$(BIN)/sim --seeds $(or $(SIM_SEEDS),200) --steps $(or $(SIM_STEPS),20000)

fuzz:  ## every fuzz target for FUZZ_SECONDS
	$(MAKE) CC=clang VARIANT=fuzz fuzz-run

fuzz-run: $(FUZZ:%=$(BIN)/%)
	@for t in $(FUZZ); do tests/lib/fuzz-one.sh $(BIN) $$t $(FUZZ_SECONDS) || exit 1; done

asan tsan:  ## unit tests under a sanitizer
	CK_FORK=no $(MAKE) VARIANT=$@ test

cov:  ## coverage of the unit tests, in build/cov/html
	$(MAKE) VARIANT=cov test
	@mkdir -p $(BUILD)/cov/html
	gcovr -r . --object-directory $(BUILD)/cov --exclude tests/ --exclude-unreachable-branches \
		--html-details $(BUILD)/cov/html/index.html --print-summary \
		--exclude-lines-by-pattern '.*CHECK_UNREACHABLE.*' >$(BUILD)/cov/summary
	@tail -n 5 $(BUILD)/cov/summary

bench: all $(HELPERS)  ## speed, beside the peers that are installed (BENCH="--quick" for a minute)
	tests/bench/run $(BIN) $(BENCH)

# --- manners -----------------------------------------------------------------------
C_FILES  := $(foreach d,base proto storage broker client config tests,$(wildcard $(addprefix $d/, \
	*.[ch] */*.[ch] */*/*.[ch])))
SCRIPTS   = $(shell grep -lIsE '^\#!.*(ba)?sh' quickstart check .ci/run $(wildcard tests/*.sh \
	tests/*/*.sh tests/*/run* client/completion/*))

layers:  ## includes must not go up a layer
	tests/check-layers.sh

fmt:  ## format the C files
	@clang-format -i $(C_FILES)

fmt-check:  ## what fmt would change
	@bad=0; for f in $(C_FILES); do clang-format --dry-run -Werror $$f 2>/dev/null || \
		{ echo "not as clang-format has it: $$f"; bad=1; }; done; exit $$bad

shellcheck:
	shellcheck $(SCRIPTS)

spell:
	codespell --skip './build,./.git,*/corpus/*,*/node_modules/*' --ignore-words tests/lib/words

spdx:
	@! grep -L 'SPDX-License-Identifier: MIT' $(C_FILES) $(SCRIPTS) $(wildcard tests/*/*.py) | grep .

man-check:
	@for f in $(MAN1) $(MAN8); do \
		man --warnings -E UTF-8 -l -Tutf8 -Z $$f 2>&1 >/dev/null | grep . && exit 1; done; true

lint: layers fmt-check shellcheck spell spdx  ## layers, format, shell scripts, spelling

TIDY ?= $(filter-out tests/%,$(filter %.c,$(C_FILES)))
tidy:  ## clang-tidy (slow; TIDY="base/map.c ..." for some)
	@printf '%s\n' $(TIDY) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- \
		-std=c17 -D_GNU_SOURCE -I. -Iclient 2>/dev/null' tidy | grep -E 'warning:|error:' | sort -u || true

stats:  ## sizes of functions and files, assertions per line
	@tests/lib/stats.sh $(filter-out tests/%,$(C_FILES))

MAN1 := $(wildcard client/man/*.1)
MAN8 := $(wildcard config/*.8)
install: all  ## into $(DESTDIR)$(PREFIX)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin sbin lib/pkgconfig include)
	install -m 755 $(LODGE) $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(LODGED) $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BIN)/liblodge.so.0 $(DESTDIR)$(PREFIX)/lib/
	ln -sf liblodge.so.0 $(DESTDIR)$(PREFIX)/lib/liblodge.so
	install -m 644 $(BIN)/liblodge.a $(DESTDIR)$(PREFIX)/lib/
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' client/lodge.pc.in \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/lodge.pc
	install -m 644 client/lodge.h $(DESTDIR)$(PREFIX)/include/
	for s in 1 8; do for f in client/man/*.$$s config/*.$$s; do test ! -f $$f || \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$$s $$f; done; done
	test ! -f client/completion/lodge.bash || install -D -m 644 client/completion/lodge.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/lodge
	test ! -f config/lodge.conf || test -f $(DESTDIR)$(SYSCONFDIR)/lodge/lodge.conf || \
		install -D -m 644 -t $(DESTDIR)$(SYSCONFDIR)/lodge config/lodge.conf
	test ! -f config/lodged.service || install -D -m 644 config/lodged.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/lodged.service

uninstall:  ## remove what install put there
	cd $(DESTDIR)$(PREFIX) && rm -rf bin/lodge sbin/lodged lib/liblodge.so lib/liblodge.so.0 \
		lib/liblodge.a lib/pkgconfig/lodge.pc include/lodge.h \
		share/bash-completion/completions/lodge lib/systemd/system/lodged.service \
		$(patsubst %,share/man/man1/%,$(notdir $(MAN1))) $(patsubst %,share/man/man8/%,$(notdir $(MAN8)))

docker:  ## docker build of a small image
	docker build -t lodge .

help:
	@awk -F ':.*  ## ' '/^[a-z -]+:.*  ## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

clean:  ## remove build/
	rm -rf $(BUILD)

-include $(shell find $O -name '*.d' 2>/dev/null)
