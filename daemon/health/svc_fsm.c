/* SPDX-License-Identifier: GPL-2.0-only */
/* Effective service states, see svc_fsm.h. */
#include <assert.h>

#include "health/svc_fsm.h"

#define N_STATES (SVC_DOWN_GOING_OUT + 1)

/* What follows from (admin, observed): the invariant. */
static const enum svc_state follows[3][3] = {
	[SVC_ADMIN_ENABLED] = {
		[HEALTH_UNKNOWN] = SVC_UNKNOWN,
		[HEALTH_DOWN] = SVC_DOWN,
		[HEALTH_UP] = SVC_UP,
	},
	[SVC_ADMIN_DRAINING] = {
		/* Flows it still has go on: draining is not a judgement. */
		[HEALTH_UNKNOWN] = SVC_GOING_OUT,
		[HEALTH_DOWN] = SVC_DOWN_GOING_OUT,
		[HEALTH_UP] = SVC_GOING_OUT,
	},
	[SVC_ADMIN_DISABLED] = {
		[HEALTH_UNKNOWN] = SVC_OUT_OF_SERVICE,
		[HEALTH_DOWN] = SVC_OUT_OF_SERVICE,
		[HEALTH_UP] = SVC_OUT_OF_SERVICE,
	},
};

#define TO(state) (1u << (state))

/* Allowed moves. Two are missing on purpose: nothing that was ever judged
 * becomes UNKNOWN by a probe's result, and what is out of service does not
 * start to drain: it has nothing to drain. A service that is enabled again
 * without a verdict is UNKNOWN, though. */
static const unsigned int allowed[N_STATES] = {
	[SVC_UNKNOWN] = TO(SVC_UP) | TO(SVC_DOWN) | TO(SVC_OUT_OF_SERVICE) |
			TO(SVC_GOING_OUT),
	[SVC_UP] = TO(SVC_DOWN) | TO(SVC_OUT_OF_SERVICE) | TO(SVC_GOING_OUT),
	[SVC_DOWN] = TO(SVC_UP) | TO(SVC_OUT_OF_SERVICE) |
		     TO(SVC_DOWN_GOING_OUT),
	[SVC_GOING_OUT] = TO(SVC_UP) | TO(SVC_UNKNOWN) |
			  TO(SVC_OUT_OF_SERVICE) | TO(SVC_DOWN_GOING_OUT),
	[SVC_DOWN_GOING_OUT] = TO(SVC_DOWN) | TO(SVC_OUT_OF_SERVICE) |
			       TO(SVC_GOING_OUT),
	[SVC_OUT_OF_SERVICE] = TO(SVC_UP) | TO(SVC_DOWN) | TO(SVC_UNKNOWN),
};

void svc_fsm_init(struct svc_fsm *fsm, enum svc_admin admin,
		  enum health_observed observed)
{
	fsm->admin = admin;
	fsm->observed = observed;
	fsm->state = follows[admin][observed];
}

bool svc_fsm_set(struct svc_fsm *fsm, enum svc_admin admin,
		 enum health_observed observed)
{
	enum svc_state state;

	assert(admin <= SVC_ADMIN_DISABLED && observed <= HEALTH_UP);
	/* Nothing to drain: it is out already. */
	if (admin == SVC_ADMIN_DRAINING && fsm->admin == SVC_ADMIN_DISABLED)
		admin = SVC_ADMIN_DISABLED;
	/* Once judged, a service keeps its last verdict. */
	if (observed == HEALTH_UNKNOWN)
		observed = fsm->observed;
	fsm->admin = admin;
	fsm->observed = observed;
	state = follows[admin][observed];
	if (state == fsm->state)
		return false;
	assert(allowed[fsm->state] & TO(state));
	fsm->state = state;
	return true;
}

const char *svc_fsm_state_name(enum svc_state state)
{
	static const char *const names[N_STATES] = {
		[SVC_UNKNOWN] = "UNKNOWN",
		[SVC_DOWN] = "DOWN",
		[SVC_UP] = "UP",
		[SVC_OUT_OF_SERVICE] = "OUT-OF-SERVICE",
		[SVC_GOING_OUT] = "GOING-OUT-OF-SERVICE",
		[SVC_DOWN_GOING_OUT] = "DOWN-WHEN-GOING-OUT-OF-SERVICE",
	};

	return state < N_STATES ? names[state] : "INVALID";
}
