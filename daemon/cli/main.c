/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command `sluice`: a thin client of the daemon's API, with no privileges
 * but those of the socket.
 */
#include <curl/curl.h>

#include "cli/dispatch.h"

int main(int argc, char **argv)
{
	int rc;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = dispatch(argc, argv);
	curl_global_cleanup();
	return rc;
}
