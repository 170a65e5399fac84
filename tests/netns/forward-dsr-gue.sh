#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Forwarding mode dsr-gue (GUE, decapsulated at the back ends)
# under the faults of tests/lib/scenario.sh, once with one queue and once with
# four queues per device. Both address families at a time.
set -euo pipefail
lib=$(dirname "$0")/../lib
for variant in "1 1" "1 4"; do
	(
		read -r ARMS QUEUES <<<"$variant"
		MODE=dsr-gue
		. "$lib/scenario.sh"
		scenario_run
	)
done
