/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Readers of values that are more than a number, a string or a list: named by
 * rows of config_keys.c. Each gets the value and where it goes.
 */
#ifndef SLUICE_CONFIG_READ_H
#define SLUICE_CONFIG_READ_H

#include "config/config_schema.h"

int config_read_ifname(struct config_reader *reader, struct json_object *value,
		       void *dst);
int config_read_rss_key(struct config_reader *reader,
			struct json_object *value, void *dst);
int config_read_monitor_ref(struct config_reader *reader,
			    struct json_object *value, void *dst);
int config_read_service_ref(struct config_reader *reader,
			    struct json_object *value, void *dst);
/* Only its type: the vserver may stand further down in the file. */
int config_read_backup(struct config_reader *reader, struct json_object *value,
		       void *dst);
int config_read_peer_address(struct config_reader *reader,
			     struct json_object *value, void *dst);
int config_read_cluster_address(struct config_reader *reader,
				struct json_object *value, void *dst);

/* Defaults that are not constants. */
int config_read_node_done(struct config_reader *reader);
int config_read_rss_done(struct config_reader *reader);

#endif
