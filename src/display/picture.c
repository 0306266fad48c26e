/*
 * picture.c - writes screens as PPM and PNG. libpng does the latter.
 *
 * Main thread.
 */
#include "display/picture.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/lock.h"

typedef struct Picture {
	unsigned width, height;
	uint8_t *rgb;
} Picture;

static Picture take(Screen *s)
{
	Picture p;

	machine_lock();
	screen_refresh(s);
	screen_size(s, &p.width, &p.height);
	p.rgb = g_malloc((size_t)p.width * p.height * 3);
	uint8_t *to = p.rgb;
	for (unsigned y = 0; y < p.height; y++) {
		const uint32_t *line = screen_pixels(s, y);
		for (unsigned x = 0; x < p.width; x++) {
			*to++ = (uint8_t)(line[x] >> 16);
			*to++ = (uint8_t)(line[x] >> 8);
			*to++ = (uint8_t)line[x];
		}
	}
	machine_unlock();
	return p;
}

static bool write_ppm(const Picture *p, FILE *file)
{
	size_t size = (size_t)p->width * p->height * 3;
	return fprintf(file, "P6\n%u %u\n255\n", p->width, p->height) > 0 && fwrite(p->rgb, 1, size, file) == size;
}

static bool write_png(const Picture *p, FILE *file)
{
	png_image image;

	memset(&image, 0, sizeof(image));
	image.version = PNG_IMAGE_VERSION;
	image.width = p->width;
	image.height = p->height;
	image.format = PNG_FORMAT_RGB;
	return png_image_write_to_stdio(&image, file, 0, p->rgb, 0, NULL);
}

static bool write_picture(Screen *s, FILE *file, PictureFormat format)
{
	Picture p = take(s);
	bool ok = format == PICTURE_PNG ? write_png(&p, file) : write_ppm(&p, file);

	g_free(p.rgb);
	return !fclose(file) && ok;
}

bool picture_write(Screen *s, const char *path, PictureFormat format, GError **error)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return fail(error, VIV_ERROR_FAILED, "failed to open file '%s': %s", path, g_strerror(errno));
	return write_picture(s, file, format) ||
	       fail(error, VIV_ERROR_FAILED, "Writing '%s' failed: %s", path, g_strerror(errno));
}

GBytes *picture_bytes(Screen *s, PictureFormat format)
{
	char *bytes = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&bytes, &size);

	if (file && write_picture(s, file, format))
		return g_bytes_new_with_free_func(bytes, size, free, bytes);
	free(bytes);
	return NULL;
}
