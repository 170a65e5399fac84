/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The effective state of a service: what the operator wants joined with what
 * was observed. A table of allowed transitions, and an invariant that is
 * checked after every move. Pure.
 */
#ifndef SLUICE_SVC_FSM_H
#define SLUICE_SVC_FSM_H

#include "health/health.h"

enum svc_admin {
	SVC_ADMIN_ENABLED,
	SVC_ADMIN_DRAINING,
	SVC_ADMIN_DISABLED,
};

struct svc_fsm {
	enum svc_admin admin;
	enum health_observed observed;
	enum svc_state state;
};

/* Starts in the state that follows from the two. */
void svc_fsm_init(struct svc_fsm *fsm, enum svc_admin admin,
		  enum health_observed observed);

/* True if the effective state changed. */
bool svc_fsm_set(struct svc_fsm *fsm, enum svc_admin admin,
		 enum health_observed observed);

const char *svc_fsm_state_name(enum svc_state state);

#endif
