/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLUICE_VERSION_H
#define SLUICE_VERSION_H

/* As in scripts/packaging/VERSION. */
#define SLUICE_VERSION "0.1.0"

#endif
