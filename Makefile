# Thin: meson does the work. What each target needs from Debian it installs itself (scripts/deps.sh).
BUILD ?= build
PREFIX ?= /usr/local
MESON_ARGS ?=
# make run: which demo disk (amd64, i386), how large a machine; make run-kernel: which kernel
DISK ?= amd64
KERNEL ?= amd64
MEMORY ?= 256
CPUS ?= 1
APPEND ?= console=ttyS0 quiet
ARGS ?=
FUZZ_SECONDS ?= 600
JOBS ?= 2

.PHONY: all build run run-kernel test test-full bench bench-cpu bench-programs fuzz install asan clean

all: build

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@scripts/deps.sh build
	@meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_ARGS)

run: build
	@scripts/deps.sh run
	@VIV_IMG=$(BUILD)/viv-img scripts/guest.sh disk-$(DISK)
	@$(BUILD)/viv -nographic -m $(MEMORY) -smp $(CPUS) -hda guests/disk-$(DISK)/disk.qcow2 $(ARGS)

# The same kernel without a disk: -kernel and an initramfs.
run-kernel: build
	@scripts/deps.sh run
	@scripts/guest.sh $(KERNEL)
	@$(BUILD)/viv -nographic -m $(MEMORY) -smp $(CPUS) -kernel guests/$(KERNEL)/vmlinuz \
		-initrd guests/$(KERNEL)/initrd.gz -append "$(APPEND)" $(ARGS)

# Everything but the long list of guests: some ten minutes on two cores.
test: build
	@scripts/deps.sh build test
	@scripts/test.sh $(BUILD) quick $(JOBS)

test-full: build
	@scripts/deps.sh build test
	@scripts/test.sh $(BUILD) full $(JOBS)

bench: build
	@scripts/deps.sh run bench || echo "No QEMU to compare with; its columns stay empty." >&2
	@scripts/guest.sh amd64
	@python3 bench/start.py $(BUILD)/viv
	@python3 bench/boot.py $(BUILD)/viv guests/amd64
	@python3 bench/img.py $(BUILD)/viv-img
	@python3 bench/disk.py $(BUILD)/viv guests/amd64

# The software CPU by workload, against native and against QEMU's TCG. DIV divides the amount of work.
DIV ?= 1
bench-cpu: build
	@scripts/deps.sh run bench || echo "No QEMU to compare with; its columns stay empty." >&2
	@scripts/guest.sh amd64
	@python3 bench/cpu.py $(BUILD)/viv guests/amd64 --div $(DIV)

# Whole systems: programs in a guest, a Debian to its login (root only, for debootstrap), what a second vcpu gives.
bench-programs: build
	@scripts/deps.sh run test bench || echo "No QEMU to compare with; its columns stay empty." >&2
	@VIV_IMG=$(BUILD)/viv-img scripts/guest.sh amd64 debian-amd64
	@python3 bench/programs.py $(BUILD)/viv guests/amd64 --smp 1
	@python3 bench/programs.py $(BUILD)/viv guests/amd64 --smp 2
	@python3 bench/debian.py $(BUILD)/viv guests/debian-amd64
	@python3 bench/threads.py $(BUILD)/viv guests/amd64
	@python3 bench/monitor.py $(BUILD)/viv guests/amd64

fuzz: build
	@scripts/fuzz.sh $(BUILD) $(FUZZ_SECONDS)

# DESTDIR is honoured.
install: build
	@meson configure $(BUILD) --prefix=$(PREFIX) >/dev/null
	@meson install -C $(BUILD)

asan:
	@scripts/deps.sh build test
	@[ -e build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false $(MESON_ARGS)
	@ninja -C build-asan
	@scripts/test.sh build-asan asan $(JOBS)

clean:
	rm -rf $(BUILD) build-asan
