# SPDX-License-Identifier: BSD-2-Clause
# A short front for Meson, which does the work in build/.
BUILD = build

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	scripts/configure $(BUILD)

check:
	./check

demo:
	./demo

test: all
	meson test -C $(BUILD) --no-rebuild

install: all
	meson install -C $(BUILD)

bench: all
	$(BUILD)/bench/bench

# As root: what the doctor costs among 100,000 sockets, beside ss and lsof.
bench-doctor: all
	$(BUILD)/bench/bench-doctor --lastack $(BUILD)/lastack

packetdrill: all
	@echo "upstream packetdrill takes it with --so_filename=$(CURDIR)/$(BUILD)/$(PACKETDRILL)"
PACKETDRILL = tests/packetdrill/liblastack-packetdrill.so

fuzz:
	CC=clang scripts/configure build-fuzz -Dfuzz=true -Db_sanitize=address,undefined \
	    -Db_lundef=false
	ninja -C build-fuzz
	meson test -C build-fuzz --suite fuzz

clean:
	rm -rf build build-*

.PHONY: all check demo test install bench bench-doctor packetdrill fuzz clean
