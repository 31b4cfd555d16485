# hv: a hypervisor kernel for Intel VT-x and AMD-V. `make help` lists what there is.

BUILD := build
TARGET := x86_64-hv
# The limit for the image in memory and on disk, without symbols.
IMAGE_LIMIT := 2097152

.DEFAULT_GOAL := help
# Goals and their steps one after the other.
.NOTPARALLEL:
.PHONY: values help run test check iso usb debug bench doctor-proof doc setup clean FORCE
.DELETE_ON_ERROR:

# What the user's shell may have set must not leak into the builds.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_BOOTSTRAP
unexport RUSTC_WRAPPER RUSTUP_TOOLCHAIN

# scripts/setup installs what is missing and writes toolchain.mk, which says where the toolchain is.
ifneq ($(filter-out help setup clean,$(MAKECMDGOALS)),)
include $(BUILD)/toolchain.mk
endif
$(BUILD)/toolchain.mk: scripts/setup rust-toolchain.toml $(TARGET).json
	@scripts/setup

export RUSTC := $(TOOLCHAIN_BIN)/rustc
export RUSTDOC := $(TOOLCHAIN_BIN)/rustdoc
export RUSTFMT := $(TOOLCHAIN_BIN)/rustfmt
export CARGO := $(TOOLCHAIN_BIN)/cargo
# Cargo shares out the processors by itself.
cargo := MAKEFLAGS= $(CARGO)
clippy := MAKEFLAGS= $(TOOLCHAIN_BIN)/cargo-clippy clippy
# CI sets this to --locked.
CARGO_FLAGS ?=
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

# Only the kernel's own builds may use the compiler's unstable features: the target file and build-std.
KERNEL_ENV := RUSTC_BOOTSTRAP=1 CARGO_TARGET_X86_64_HV_LINKER=$(KERNEL_LINKER)
KERNEL_FLAGS := --release --target $(TARGET).json $(JSON_TARGET_FLAG) \
	-Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem $(CARGO_FLAGS)

help: ## list the goals
	@echo 'make run     boot hv in a machine: PLATFORM=auto|kvm|qemu|bochs CPU=model SMP=processors MEM=512M'
	@echo '             GUEST=name,name|list|linux LOG=error|warn|info|debug|trace FIRMWARE=bios|uefi APPEND="more options"'
	@echo '             GUEST=linux (or linux-i386) GUEST_MEM=256M LINUX_APPEND="more options" LINUX=bzImage INITRD=initrd'
	@echo 'make test    test the logic on this machine, then whole machines; TEST=name runs those that contain name'
	@echo 'make check   formatting, lints, the arrows between the rooms, documentation'
	@echo 'make iso     build $(BUILD)/hv.iso, which boots from CD and from USB, under BIOS and UEFI'
	@echo 'make usb     write it to a USB stick: DEV=/dev/sdX'
	@echo 'make debug   boot in QEMU and wait for gdb; takes the variables of run'
	@echo 'make bench   count the instructions of each kind of VM exit, and of a boot of Linux, on AMD and on Intel'
	@echo 'make doctor-proof   compare the rules of VM entry with emulators: DIFFER_ROUNDS=140000 DIFFER_SEED=1'
	@echo 'make doc     build the documentation of the code'
	@echo 'make setup   install what is missing, choose the Rust toolchain'
	@echo 'make clean   remove all that was built'

setup: ## check and install, whatever the last time said
	@scripts/setup

# --- The kernel and its image -----------------------------------------------------------------------------------------

# With all symbols, for gdb. Cargo knows when it must be built; the copy changes only when the kernel does.
$(BUILD)/hv.elf: FORCE
	@$(KERNEL_ENV) $(cargo) build --bin hv $(KERNEL_FLAGS)
	@cmp -s $(CARGO_TARGET_DIR)/$(TARGET)/release/hv $@ || cp $(CARGO_TARGET_DIR)/$(TARGET)/release/hv $@
FORCE:

# What boots: without debugging information; the symbol table stays, for the backtraces.
$(BUILD)/hv.boot.elf: $(BUILD)/hv.elf
	@strip --strip-debug -o $@ $<
	@strip --strip-all -o $(BUILD)/hv.bare.elf $<
	@size=$$(stat -c %s $(BUILD)/hv.bare.elf); rm $(BUILD)/hv.bare.elf; \
	echo "hv: the kernel has $$((size / 1024)) KiB without symbols, of at most $$(($(IMAGE_LIMIT) / 1024))"; \
	test $$size -le $(IMAGE_LIMIT)

$(BUILD)/hv.iso: $(BUILD)/hv.boot.elf scripts/iso
	@scripts/iso $< $@
	@echo "hv: $@ boots from CD and from USB, under BIOS and UEFI"

iso: $(BUILD)/hv.iso ## the image

# --- Running it -------------------------------------------------------------------------------------------------------

export PLATFORM CPU SMP MEM GUEST LOG FIRMWARE APPEND LIMIT GUEST_MEM LINUX_APPEND LINUX INITRD INPUT MODULES

# A wrong value is told before anything is built.
values: $(BUILD)/toolchain.mk
	@scripts/run --check

run: values $(BUILD)/hv.boot.elf ## boot it
	@scripts/run

debug: values $(BUILD)/hv.boot.elf ## boot it under gdb
	@scripts/debug $(BUILD)/hv.elf

bench: $(BUILD)/hv.boot.elf ## count instructions
	@scripts/bench

usb: $(BUILD)/hv.iso ## write a stick
	@scripts/usb $< '$(DEV)'

# --- Checking it ------------------------------------------------------------------------------------------------------

test: $(BUILD)/hv.iso ## logic, then machines
ifndef TEST
	@echo 'test: the logic, on this machine'
	@$(cargo) test --workspace $(CARGO_FLAGS)
endif
	@scripts/linux || echo 'test: without a Linux kernel its tests fail, see above'
	@scripts/linux --arch i386 || echo 'test: the tests of a 32-bit Linux are left out, see above'
	@echo 'test: whole machines'
	@$(cargo) test $(CARGO_FLAGS) --test machines -- $(TEST)

# The long run of the tests `differ::…`; the table is Markdown, for the documentation.
doctor-proof: export DIFFER_ROUNDS := $(or $(DIFFER_ROUNDS),140000)
doctor-proof: export DIFFER_SEED := $(or $(DIFFER_SEED),1)
doctor-proof: $(BUILD)/hv.iso ## rules against emulators
	@echo 'doctor-proof: $(DIFFER_ROUNDS) rounds on each machine, seed $(DIFFER_SEED)'
	@rm -rf $(BUILD)/doctor
	@$(cargo) test $(CARGO_FLAGS) --test machines -- differ::; status=$$?; \
	echo; \
	echo '| emulator, model | rounds | entered | refused, by what | judged only | agreed | listed | unexplained | named the same rule |'; \
	echo '|---|---|---|---|---|---|---|---|---|'; \
	for file in $(BUILD)/doctor/*.txt; do [ ! -e $$file ] || grep '^|' $$file; done; \
	for file in $(BUILD)/doctor/*.txt; do [ ! -e $$file ] || sed -n 's/^note: //p' $$file; done; \
	exit $$status

check: $(BUILD)/toolchain.mk ## all rules
	@echo 'check: formatting'
	@$(TOOLCHAIN_BIN)/cargo-fmt fmt --all --check
	@echo 'check: the arrows between the rooms'
	@scripts/arrows
	@echo 'check: scripts'
	@shellcheck scripts/* .ci/run && shellcheck -s dash tests/linux/init
	@echo 'check: lints, for this machine'
	@$(clippy) --workspace --lib --bins --tests --examples --test machines $(CARGO_FLAGS) -- -D warnings
	@echo 'check: lints, for the bare machine'
	@$(KERNEL_ENV) $(clippy) $(KERNEL_FLAGS) -- -D warnings
	@echo 'check: documentation'
	@RUSTDOCFLAGS='-D warnings' $(cargo) doc --lib --no-deps --document-private-items $(CARGO_FLAGS)
	@echo 'check: all is well'

doc: $(BUILD)/toolchain.mk ## the library's documentation
	@$(cargo) doc --lib --no-deps --document-private-items $(CARGO_FLAGS)
	@echo "doc: open $(CARGO_TARGET_DIR)/doc/hv/index.html"

clean: ## remove what was built
	rm -rf $(BUILD) target
