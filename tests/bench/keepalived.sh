#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# HTTP checks beside keepalived, which needs IPVS: where this kernel has none, all
# are measured in a virtual machine with a Debian kernel that has it. Emulated
# processors are slow: of these figures only the ratios say something.
#
#   KERNEL=name tests/bench/keepalived.sh     name: as in vmtests/kernels.list
set -u
cd "$(dirname "$0")/../.." || exit 1
kernel=${KERNEL:-6.12}
skip() { echo "$*" >&2; exit 77; }
if [ -e /proc/net/ip_vs ] || modinfo ip_vs >/dev/null 2>&1; then
	skip "this kernel has IPVS: probe.sh measures keepalived"
fi
scripts/setup --check --vm >/dev/null || skip "no virtual machines: scripts/setup --vm installs what they need"
out=$(vmtests/run -b -k "$kernel" -t probe) || { echo "$out" >&2; exit 1; }
sed -n '/^VM-BEGIN probe$/,/^VM-RESULT probe /p' "build/vm/$kernel/serial.txt" |
	grep -av '^VM-' | sed "/^{/!s/^/Linux $kernel, emulated: /"
