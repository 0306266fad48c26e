/*
 * secret.h - passphrases and keys by id (-object secret). Main thread, or machine lock.
 */
#ifndef VIV_BLOCK_SECRET_H
#define VIV_BLOCK_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/*
 * "secret,id=ID,data=TEXT|file=PATH[,format=raw|base64]". False: *error.
 * An encrypted secret (keyid=, iv=) is refused.
 */
bool secret_add(const char *words, GError **error);
/* Forgets it; harmless if there is none. */
void secret_remove(const char *id);
/* Its bytes (borrowed; a zero follows them); NULL with *error: unknown id. */
const uint8_t *secret_lookup(const char *id, size_t *len, GError **error);

#endif
