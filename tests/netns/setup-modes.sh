#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Flow set-up in the XDP program itself (kernel) and with every packet passing
# an engine (inspect), under traffic and faults. Inspected flows may lose what
# a killed engine held; TCP recovers, so no connection breaks.
set -euo pipefail
lib=$(dirname "$0")/../lib
for variant in "kernel nat" "kernel dsr-l2" "inspect nat"; do
	(
		read -r SETUP MODE <<<"$variant"
		. "$lib/scenario.sh"
		BIG=60
		[ "$SETUP" = kernel ] || LOST_KILL=1000 LOST_STOP=1000
		scenario_up
		scenario_web
		scenario_udp
		scenario_phase engine-kill
		fault_engine_kill
		scenario_settle
		scenario_phase swap
		fault_swap 10
		scenario_settle
		scenario_phase daemon
		fault_daemon_kill "$RUN/sluice.json" web 300
		scenario_settle
		scenario_accounts
	)
done
