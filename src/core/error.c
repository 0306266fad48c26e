/* error.c - see error.h. */
#include "core/error.h"

bool fail(GError **error, VivError code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (error && !*error)
		*error = g_error_new_valist(VIV_ERROR, code, format, args);
	va_end(args);
	return false;
}
