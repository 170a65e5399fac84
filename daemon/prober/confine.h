/* SPDX-License-Identifier: GPL-2.0-only */
/* Dropping all privileges of a prober. */
#ifndef SLUICE_CONFINE_H
#define SLUICE_CONFINE_H

/* No capability is left, none can be gained, files cannot be written, other
 * processes not be traced. 0 or -errno: then the process must not go on. */
int confine_self(void);

#endif
