/*
 * web_assets.h - the files of src/display/web/ and xterm.js, put into the program by web/embed.py.
 */
#ifndef VIV_DISPLAY_WEB_ASSETS_H
#define VIV_DISPLAY_WEB_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct WebAsset {
	const char *path;    /* of the URL: "/page.js" */
	const void *content;
	size_t length;
	bool open;           /* to those without a session, too: what lets them in */
} WebAsset;

extern const WebAsset web_assets[]; /* ends with a NULL path */

#endif
