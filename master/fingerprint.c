/* SPDX-License-Identifier: ISC */
#include "master/fingerprint.h"

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Argument i of a command, or the file of a module; NULL if there is none. */
static const char *
fingerprint_file_at(const struct conf_handler *conf, unsigned i)
{
	if (conf->type == CONF_HANDLER_MODULE)
		return (i == 0 ? conf->module : NULL);
	if (conf->type != CONF_HANDLER_COMMAND)
		return (NULL);
	for (unsigned n = 0; n < i; n++)
		if (conf->command[n] == NULL)
			return (NULL);
	return (conf->command[i]);
}

/* A relative path is taken from where the program runs. */
static int
fingerprint_look_at(const struct conf_handler *conf, const char *file,
    struct stat *st)
{
	char path[4096];
	int n;

	if (*file == '/' || *conf->working_directory == '\0')
		return (stat(file, st));
	n = snprintf(path, sizeof(path), "%s/%s", conf->working_directory,
	    file);
	return (n > 0 && (size_t)n < sizeof(path) ? stat(path, st) : -1);
}

/* A program that is found by PATH is none of those that are deployed. */
static bool
fingerprint_is_searched(const char *file, unsigned i)
{
	return (i == 0 && strchr(file, '/') == NULL);
}

/* One step of FNV-1a. */
static uint64_t
fingerprint_mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++, value >>= 8)
		hash = (hash ^ (value & 0xff)) * UINT64_C(0x100000001b3);
	return (hash);
}

static uint64_t
fingerprint_of(const struct conf_handler *conf, unsigned i)
{
	const char *file = fingerprint_file_at(conf, i);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	struct stat st;

	if (file == NULL || *file == '\0' || fingerprint_is_searched(file, i) ||
	    fingerprint_look_at(conf, file, &st) == -1 || !S_ISREG(st.st_mode))
		return (0);
	hash = fingerprint_mix(hash, st.st_dev);
	hash = fingerprint_mix(hash, st.st_ino);
	hash = fingerprint_mix(hash, (uint64_t)st.st_size);
	hash = fingerprint_mix(hash, (uint64_t)st.st_mtim.tv_sec);
	hash = fingerprint_mix(hash, (uint64_t)st.st_mtim.tv_nsec);
	return (hash | 1);
}

void
fingerprint_take(struct fingerprint *fingerprint,
    const struct conf_handler *conf)
{
	for (unsigned i = 0; i < FINGERPRINT_FILES; i++)
		fingerprint->files[i] = fingerprint_of(conf, i);
}

const char *
fingerprint_changed(const struct fingerprint *then,
    const struct conf_handler *conf)
{
	for (unsigned i = 0; i < FINGERPRINT_FILES; i++)
		if (then->files[i] != 0 &&
		    fingerprint_of(conf, i) != then->files[i])
			return (fingerprint_file_at(conf, i));
	return (NULL);
}

bool
fingerprint_same_program(const struct fingerprint *print,
    const struct conf_handler *conf, const struct fingerprint *other_print,
    const struct conf_handler *other)
{
	const char *file, *other_file;

	if (conf->type != other->type)
		return (false);
	for (unsigned i = 0; i < FINGERPRINT_FILES; i++) {
		file = fingerprint_file_at(conf, i);
		other_file = fingerprint_file_at(other, i);
		if (file == NULL || other_file == NULL)
			return (file == other_file);
		if (strcmp(file, other_file) != 0 ||
		    print->files[i] != other_print->files[i])
			return (false);
	}
	return (true);
}
