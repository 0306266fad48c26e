/*
 * viv_log.h - `-d int,cpu_reset`: what the vcpus do, to stderr or -D's file.
 */
#ifndef VIV_TOOLS_VIV_LOG_H
#define VIV_TOOLS_VIV_LOG_H

#include "cli/cli.h"
#include "core/board.h"

/* Once the vcpus exist and before they run, main thread. False: the file cannot be written. */
bool viv_log_start(const Cli *cli, Board *board, GError **error);

#endif
