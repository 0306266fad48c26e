/*
 * board.c - requests of devices and users to the run loop.
 *
 * Any thread enters.
 */
#include "core/board.h"

/* How much a request outweighs another: the heaviest that is not yet handled is kept. */
static int weight(int request)
{
	/* No default: the compiler names the one that is left out. */
	switch ((RunRequest)request) {
	case RUN_NONE: return 0;
	case RUN_CRASHLOADED: return 1;
	case RUN_DEBUG: return 2;
	case RUN_IO_ERROR: return 3;
	case RUN_RESET: return 4;
	case RUN_TRIPLE_FAULT: return 5;
	case RUN_SHUTDOWN: return 6;
	case RUN_PANICKED: return 7;
	case RUN_INTERNAL_ERROR: return 8;
	case RUN_QUIT: return 9;
	}
	return 0;
}

void board_request(Board *board, RunRequest why, int exit_status)
{
	int present = atomic_load(&board->request);
	bool stored = false;

	if (why == RUN_QUIT && present != RUN_QUIT)
		atomic_store(&board->exit_status, exit_status);
	while (weight(why) > weight(present) && !stored)
		stored = atomic_compare_exchange_weak(&board->request, &present, why);
	if (board->request_fn)
		board->request_fn(board, why);
}
