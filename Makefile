# SPDX-License-Identifier: Apache-2.0
#
# The front door: every job is one word. CMake (CMakePresets.json) does the work below; each preset builds in build/NAME.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 300

.PHONY: help deps build demo check check-full bench fuzz fmt lint install clean

help: ## list these targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## install what building and `make check` need (apt-get, or prints the command to run)
	@tools/deps check

build: ## build the library and the command into build/release
	@tools/deps demo
	@tools/build release fbat_command fbat fbat_static

demo: build ## build, then a tour with this repository's own history, under two minutes
	@FBAT="$(CURDIR)/build/release/fbat" examples/demo.sh

check: ## build and run the tests; ends in one line of counts
	@tools/deps check
	@tools/build release
	@tools/run_tests release

check-full: ## clang, sanitizers, the long tests, fuzzing, lint, install; about 20 minutes on 2 cores
	@tools/deps full
	@tools/check_full

bench: ## measure and print the figures
	@tools/deps bench
	@tools/build release
	@FBAT="$(CURDIR)/build/release/fbat" BUILD_DIR="$(CURDIR)/build/release" bench/run

fuzz: ## fuzz each target for FUZZ_SECONDS (300)
	@tools/deps full
	@tools/build fuzz
	@tools/run_fuzz "$(FUZZ_SECONDS)"

fmt: ## format the sources with clang-format
	@tools/deps full
	@tools/lint --fix

lint: ## clang-format, clang-tidy, layers, man pages
	@tools/deps full
	@tools/build clang
	@tools/lint

install: build ## install below PREFIX (/usr/local), staged in DESTDIR if given
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

clean: ## remove everything built
	@rm -rf build
