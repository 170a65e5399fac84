/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What more than one value decides: names given twice, keys that exclude each
 * other, addresses that mean two things. Each function runs when its part of
 * the file has been read; the reader's path then stands at that part.
 */
#ifndef SLUICE_CONFIG_CHECK_H
#define SLUICE_CONFIG_CHECK_H

#include "config/config_schema.h"

int config_check_monitors(struct config_reader *reader);
int config_check_services(struct config_reader *reader);
int config_check_vservers(struct config_reader *reader);
int config_check_cluster(struct config_reader *reader);

/* The rest, when everything has been read; the path is the root. */
int config_check_whole(struct config_reader *reader);

#endif
