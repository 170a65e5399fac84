#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Forwarding mode nat (full NAT: both directions pass the node)
# under the faults of tests/lib/scenario.sh, once with one queue and once with
# four queues per device and two arms. Both address families at a time.
set -euo pipefail
lib=$(dirname "$0")/../lib
for variant in "1 1" "2 4"; do
	(
		read -r ARMS QUEUES <<<"$variant"
		MODE=nat
		. "$lib/scenario.sh"
		scenario_run
	)
done
